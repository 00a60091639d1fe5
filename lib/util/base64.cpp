#include "util/base64.h"

#include <array>
#include <cstdint>

namespace twinspool {

namespace {

constexpr std::string_view kCommon = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

std::string encode(std::string_view bytes, std::string_view last_two, bool padded) {
  const auto digit = [&](std::uint32_t value) {
    return value < kCommon.size() ? kCommon[value] : last_two[value - kCommon.size()];
  };
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (i < group.size() ? static_cast<std::uint8_t>(group[i]) : 0);
    }
    for (std::size_t i = 0; i <= group.size(); ++i) out += digit(bits >> (18 - 6 * i) & 63);
    if (padded) out.append(3 - group.size(), '=');
  }
  return out;
}

constexpr std::uint8_t kNoDigit = 64;

constexpr std::array<std::uint8_t, 256> values_of_digits() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (std::size_t i = 0; i < kCommon.size(); ++i)
    values[static_cast<std::uint8_t>(kCommon[i])] = static_cast<std::uint8_t>(i);
  values['+'] = 62;
  values['/'] = 63;
  return values;
}

}  // namespace

std::optional<std::string> base64_decoded(std::string_view text) {
  static constexpr std::array<std::uint8_t, 256> kValues = values_of_digits();
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    const std::size_t digits = at + 4 == text.size() ? 4 - padding : 4;
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint8_t value = i < digits ? kValues[static_cast<std::uint8_t>(text[at + i])] : 0;
      if (value == kNoDigit) return std::nullopt;
      bits = bits << 6 | value;
    }
    for (std::size_t i = 0; i + 1 < digits; ++i) out += static_cast<char>(bits >> (16 - 8 * i) & 255);
  }
  return out;
}

std::string base64(std::string_view bytes) { return encode(bytes, "+/", true); }

std::string base64url(std::string_view bytes) { return encode(bytes, "-_", false); }

}  // namespace twinspool
