#include "util/json_members.h"

#include <algorithm>
#include <charconv>

#include "util/json.h"

namespace twinspool::json {
namespace {

// Walks over a text that is known to be valid JSON: looks only for what ends things.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  char peek() {
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  void step() { ++at_; }

  std::string_view value() {
    (void)peek();
    const std::size_t begin = at_;
    switch (text_[at_]) {
      case '"':
        skip_string();
        break;
      case '{':
      case '[':
        skip_nested();
        break;
      default:
        at_ = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
    }
    return text_.substr(begin, at_ - begin);
  }

 private:
  void skip_string() {
    for (++at_; text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    ++at_;
  }

  void skip_nested() {
    for (std::size_t depth = 0;;) {
      const char byte = text_[at_];
      if (byte == '"') {
        skip_string();
        continue;
      }
      ++at_;
      if (byte == '{' || byte == '[') ++depth;
      if ((byte == '}' || byte == ']') && --depth == 0) return;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Kind kind_of(std::string_view raw) {
  switch (raw.front()) {
    case '{':
      return Kind::object;
    case '[':
      return Kind::array;
    case '"':
      return Kind::string;
    case 't':
    case 'f':
      return Kind::boolean;
    case 'n':
      return Kind::null;
    default:
      return Kind::number;
  }
}

// Of the four hexadecimal digits of a \u escape at `at`.
std::uint32_t code_unit(std::string_view text, std::size_t at) {
  std::uint32_t unit = 0;
  std::from_chars(text.data() + at, text.data() + at + 4, unit, 16);
  return unit;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto part = [&](std::uint32_t bits) { out += static_cast<char>(bits); };
  if (code < 0x80) {
    part(code);
  } else if (code < 0x800) {
    part(0xC0 | code >> 6);
    part(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    part(0xE0 | code >> 12);
    part(0x80 | (code >> 6 & 0x3F));
    part(0x80 | (code & 0x3F));
  } else {
    part(0xF0 | code >> 18);
    part(0x80 | (code >> 12 & 0x3F));
    part(0x80 | (code >> 6 & 0x3F));
    part(0x80 | (code & 0x3F));
  }
}

char short_escape(char letter) {
  switch (letter) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return letter;  // " \ /
  }
}

}  // namespace

Result<std::vector<Member>> members_of(std::string_view text) {
  if (const auto why = why_not_an_object(text, "the line")) return fail(Errc::invalid, *why);
  std::vector<Member> members;
  Walker walker(text);
  (void)walker.peek();
  walker.step();  // {
  while (walker.peek() != '}') {
    if (walker.peek() == ',') walker.step();
    Result<std::string> name = unescaped(walker.value());
    if (!name) return tl::unexpected(name.error());
    (void)walker.peek();
    walker.step();  // :
    const std::string_view raw = walker.value();
    members.push_back({std::move(*name), raw, kind_of(raw)});
  }
  return members;
}

Result<std::string> unescaped(std::string_view raw) {
  const std::string_view text = raw.substr(1, raw.size() - 2);
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      out += text[at];
      continue;
    }
    if (text[++at] != 'u') {
      out += short_escape(text[at]);
      continue;
    }
    std::uint32_t code = code_unit(text, at + 1);
    at += 4;
    if (code >= 0xD800 && code < 0xDC00 && text.substr(at + 1, 2) == "\\u") {
      const std::uint32_t low = code_unit(text, at + 3);
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
      }
    }
    if (code >= 0xD800 && code < 0xE000) return fail(Errc::invalid, "a string has half a surrogate pair");
    append_utf8(out, code);
  }
  return out;
}

}  // namespace twinspool::json
