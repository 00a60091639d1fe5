#include "ops/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ops/send.h"
#include "util/utf8.h"

namespace twinspool::ops {

std::string printable(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length_at(text, at);
    const auto first = static_cast<unsigned char>(text[at]);
    const bool control = length == 0 || first < 0x20 || first == 0x7F ||
                         (first == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0);
    if (control) {
      result += '?';
    } else {
      result += text.substr(at, length);
    }
    at += length == 0 ? 1 : length;
  }
  return result;
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (const char c : text) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return columns;
}

std::string_view first_columns(std::string_view text, std::size_t columns) {
  std::size_t at = 0;
  while (at < text.size() && columns-- > 0) at += std::max<std::size_t>(utf8_length_at(text, at), 1);
  return text.substr(0, at);
}

std::string shortened(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns) return std::string(text);
  return std::string(first_columns(text, columns - std::min<std::size_t>(columns, 3))) + "...";
}

std::string grouped(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string human_bytes(double bytes) {
  if (bytes < 1024) return fmt::format("{:.0f} bytes", bytes);
  const char* unit = "";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (bytes < 1024 && *unit != '\0') break;
    bytes /= 1024;
    unit = next;
  }
  return fmt::format("{:.1f} {}", bytes, unit);
}

std::string percent_decoded(std::string_view path) {
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    unsigned byte = 0;
    const char* from = path.data() + i + 1;
    if (path[i] == '%' && i + 2 < path.size() && std::from_chars(from, from + 2, byte, 16).ptr == from + 2) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += path[i];
    }
  }
  return out;
}

std::string query_encoded(std::string_view name) {
  return name.find('%') == std::string_view::npos ? percent_encoded(name) : std::string(name);
}

}  // namespace twinspool::ops
