#include "ingest/text.h"

#include <algorithm>

#include "util/utf8.h"

namespace twinspool::ingest {
namespace {

constexpr std::size_t kQuotedBytesMax = 64;

unsigned char byte_at(std::string_view text, std::size_t at) { return static_cast<unsigned char>(text[at]); }

bool is_printable_ascii(char c) { return c >= 0x20 && c < 0x7f; }

// `at` is where a valid character begins.
bool is_control(std::string_view text, std::size_t at) {
  const unsigned char byte = byte_at(text, at);
  return byte < 0x20 || byte == 0x7f || (byte == 0xc2 && byte_at(text, at + 1) < 0xa0);
}

void append_hex(std::string& out, unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\x";
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

}  // namespace

std::string_view text_fault(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), is_printable_ascii)) return {};
  std::string_view fault;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length_at(text, at);
    if (length == 0) return "is not valid UTF-8";
    if (is_control(text, at)) fault = "has a control character";
    at += length;
  }
  return fault;
}

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (std::size_t at = 0; at < text.size();) {
    if (at >= kQuotedBytesMax) {
      out += "...";
      break;
    }
    const std::size_t length = utf8_length_at(text, at);
    if (length == 0 || is_control(text, at)) {
      append_hex(out, byte_at(text, at++));
    } else {
      out += text.substr(at, length);
      at += length;
    }
  }
  return out += '\'';
}

}  // namespace twinspool::ingest
