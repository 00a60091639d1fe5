#include "util/utf8.h"

#include <cstdint>

namespace twinspool {

namespace {

struct Lead {
  std::size_t length;
  std::uint8_t second_min;  // the second byte's range rules out overlong forms, surrogates and what lies above U+10FFFF
  std::uint8_t second_max;
};

Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

std::size_t utf8_length_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t offset) { return static_cast<std::uint8_t>(text[at + offset]); };
  const Lead lead = lead_of(byte(0));
  if (lead.length > text.size() - at) return 0;
  if (lead.length < 2) return lead.length;
  if (byte(1) < lead.second_min || byte(1) > lead.second_max) return 0;
  for (std::size_t offset = 2; offset < lead.length; ++offset) {
    if ((byte(offset) & 0xC0) != 0x80) return 0;
  }
  return lead.length;
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length_at(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

}  // namespace twinspool
