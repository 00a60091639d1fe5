#include "util/log_text.h"

#include <fmt/format.h>

#include "util/json.h"
#include "util/utf8.h"

namespace twinspool::log {

namespace {

bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  // U+0080..U+009F, of which U+0085 is a line end to some; and U+2028, U+2029 likewise.
  return (first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0) || character == "\u2028" ||
         character == "\u2029";
}

void append_bytes(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
}

// Returns whether anything needs the quotes.
bool append_escaped(std::string& out, std::string_view value) {
  bool needs_quotes = value.empty();
  for (std::size_t at = 0; at < value.size();) {
    const std::size_t length = utf8_length_at(value, at);
    const std::string_view character = value.substr(at, length == 0 ? 1 : length);
    at += character.size();
    const char first = character[0];
    if (length != 0 && !is_control(character) && first != '"' && first != '\\') {
      needs_quotes = needs_quotes || first == ' ' || first == '=';
      out += character;
      continue;
    }
    needs_quotes = true;
    if (first == '"' || first == '\\') {
      (out += '\\') += first;
    } else if (first == '\n') {
      out += "\\n";
    } else if (first == '\r') {
      out += "\\r";
    } else if (first == '\t') {
      out += "\\t";
    } else {
      append_bytes(out, character);
    }
  }
  return needs_quotes;
}

}  // namespace

std::string event_text(std::string_view event, std::initializer_list<Fact> facts) {
  std::string text(event);
  for (const Fact& fact : facts) {
    ((text += ' ') += fact.key) += '=';
    std::string value;
    if (append_escaped(value, fact.value)) {
      ((text += '"') += value) += '"';
    } else {
      text += value;
    }
  }
  return text;
}

std::string event_json(std::string_view time, std::string_view level, std::string_view event,
                       std::initializer_list<Fact> facts) {
  json::Writer out;
  out.begin_object().key("time").string(time).key("level").string(level).key("event").string(event);
  for (const Fact& fact : facts) {
    out.key(fact.key);
    fact.literal ? out.raw(fact.value) : out.string(fact.value);
  }
  out.end_object();
  return out.take();
}

}  // namespace twinspool::log
