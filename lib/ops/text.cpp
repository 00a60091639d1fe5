#include "ops/text.h"

#include <charconv>

#include "ops/send.h"

namespace twinspool::ops {

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out;
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
