#include "util/base64.h"

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

}  // namespace

std::string base64(std::string_view bytes) { return encode(bytes, "+/", true); }

std::string base64url(std::string_view bytes) { return encode(bytes, "-_", false); }

}  // namespace twinspool
