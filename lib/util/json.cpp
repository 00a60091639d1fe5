#include "util/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <cstring>

#include "util/utf8.h"

namespace twinspool::json {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// What a thread needs to check a text, kept between texts: on the hot path nothing is allocated.
class Checker {
 public:
  // The error, and the root element where there is none.
  simdjson::simdjson_result<simdjson::dom::element> parse(std::string_view text) {
    copy(text);
    auto root = parse_copy(text.size());
    if (root.error() == simdjson::NUMBER_ERROR && hide_numbers(text.size())) root = parse_copy(text.size());
    return root;
  }

  static Checker& of_this_thread() {
    thread_local Checker checker;
    return checker;
  }

 private:
  simdjson::simdjson_result<simdjson::dom::element> parse_copy(std::size_t size) {
    return parser_.parse(padded_.data(), size, false);
  }

  void copy(std::string_view text) {
    if (padded_.size() < text.size() + simdjson::SIMDJSON_PADDING)
      padded_.resize(text.size() + simdjson::SIMDJSON_PADDING);
    if (!text.empty()) std::memcpy(padded_.data(), text.data(), text.size());
    std::memset(padded_.data() + text.size(), ' ', simdjson::SIMDJSON_PADDING);
  }

  bool hide_numbers(std::size_t size);

  simdjson::dom::parser parser_;
  std::string padded_;
};

// The length of the JSON number that `text` starts with, as RFC 8259 writes it; 0 where there is none.
std::size_t number_length(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - begin;
  };
  const auto skip = [&](std::string_view any) {
    const bool found = at < text.size() && any.find(text[at]) != std::string_view::npos;
    if (found) ++at;
    return found;
  };
  skip("-");
  if (!skip("0") && digits() == 0) return 0;
  if (skip(".") && digits() == 0) return 0;
  if (skip("eE")) {
    skip("+-");
    if (digits() == 0) return 0;
  }
  return at;
}

// simdjson refuses numbers that fit neither 64 bits nor a double, but they are JSON, and the cloud takes them. So
// well-formed numbers of the copy become `0` and the rest is checked again; returns whether there was one.
bool Checker::hide_numbers(std::size_t size) {
  bool hidden = false;
  bool in_string = false;
  for (std::size_t at = 0; at < size; ++at) {
    const char byte = padded_[at];
    if (in_string) {
      if (byte == '\\') ++at;
      if (byte == '"') in_string = false;
    } else if (byte == '"') {
      in_string = true;
    } else if (byte == '-' || (byte >= '0' && byte <= '9')) {
      const std::string_view rest = std::string_view(padded_).substr(at, size - at);
      const std::size_t run = std::min(rest.find_first_not_of("0123456789+-.eE"), rest.size());
      if (number_length(rest.substr(0, run)) == run) {
        padded_.replace(at, run, run, ' ');
        padded_[at] = '0';
        hidden = true;
      }
      at += run - 1;
    }
  }
  return hidden;
}

const char* kind_of(simdjson::dom::element_type type) {
  using simdjson::dom::element_type;
  switch (type) {
    case element_type::ARRAY:
      return "an array";
    case element_type::OBJECT:
      return "an object";
    case element_type::STRING:
      return "a JSON string";
    case element_type::BOOL:
      return "a boolean";
    case element_type::NULL_VALUE:
      return "null";
    case element_type::INT64:
    case element_type::UINT64:
    case element_type::DOUBLE:
      return "a number";
  }
  return "something else";
}

std::string explain(simdjson::error_code error, std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return "empty";
  if (!is_utf8(text)) return "not valid UTF-8";
  switch (error) {
    case simdjson::DEPTH_ERROR:
      return fmt::format("nested more than {} levels deep", simdjson::DEFAULT_MAX_DEPTH);
    case simdjson::CAPACITY:
    case simdjson::MEMALLOC:
      return "too large to be checked";
    case simdjson::UNCLOSED_STRING:
      return "not valid JSON: a string is not closed";
    case simdjson::UNESCAPED_CHARS:
      return "not valid JSON: a control character stands unescaped in a string";
    case simdjson::STRING_ERROR:
      return "not valid JSON: a string has a wrong escape";
    case simdjson::NUMBER_ERROR:
      return "not valid JSON: a number is malformed";
    case simdjson::T_ATOM_ERROR:
    case simdjson::F_ATOM_ERROR:
    case simdjson::N_ATOM_ERROR:
      return "not valid JSON: a word that is not true, false or null";
    default:
      return "not valid JSON: a bracket, comma, colon or value is missing or misplaced";
  }
}

// nullopt, or what the text is instead of JSON.
std::optional<std::string> why_not_json(std::string_view text, simdjson::dom::element_type* type) {
  if (text.starts_with(kByteOrderMark)) return "not valid JSON: it starts with a byte order mark";
  const auto root = Checker::of_this_thread().parse(text);
  if (root.error()) return explain(root.error(), text);
  *type = root.value_unsafe().type();
  return std::nullopt;
}

}  // namespace

std::optional<std::string> why_not_an_object(std::string_view text, std::string_view what) {
  simdjson::dom::element_type type{};
  if (auto why = why_not_json(text, &type)) return fmt::format("{} is {}", what, *why);
  if (type == simdjson::dom::element_type::OBJECT) return std::nullopt;
  return fmt::format("{} is {}, not an object", what, kind_of(type));
}

namespace {

using simdjson::ondemand::json_type;

std::string member_path(const std::string& parent, std::string_view name) {
  return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
}

std::string_view trimmed(std::string_view token) {  // raw tokens reach up to the next one
  while (!token.empty() && std::strchr(" \t\r\n", token.back()) != nullptr) token.remove_suffix(1);
  return token;
}

}  // namespace

struct Document::Reader {
  Document& document;

  // A path is kept with each value, so one long name with many values below it would take its product of memory.
  template <class Value>
  void read_child(Value& value, const std::string& path) {
    if (path.size() <= kPathBytesMax) read(value, path);
  }

  // Throws simdjson_error; never does, as the text was checked before.
  template <class Value>
  void read(Value& value, const std::string& path) {
    switch (json_type(value.type())) {
      case json_type::object: {
        std::size_t count = 0;
        for (auto field : value.get_object()) {
          const std::string name(std::string_view(field.unescaped_key()));
          auto member = field.value();
          read_child(member, member_path(path, name));
          ++count;
        }
        document.sizes_.emplace_back(path, count);
        return;
      }
      case json_type::array: {
        std::size_t count = 0;
        for (auto element : value.get_array()) {
          read_child(element, member_path(path, std::to_string(count)));
          ++count;
        }
        document.sizes_.emplace_back(path, count);
        return;
      }
      case json_type::string:
        document.values_.emplace_back(path, std::string_view(value.get_string()));
        return;
      case json_type::number:
      case json_type::boolean:
      case json_type::null:
        document.values_.emplace_back(path, trimmed(std::string_view(value.raw_json_token())));
        return;
    }
  }
};

Result<Document> Document::parse(std::string_view text) {
  simdjson::dom::element_type type{};
  if (auto why = why_not_json(text, &type)) return fail(Errc::invalid, "the text is " + *why);
  Document document;
  try {
    const simdjson::padded_string padded(text);
    simdjson::ondemand::parser parser;
    simdjson::ondemand::document root = parser.iterate(padded);
    Reader{document}.read(root, "");
  } catch (const simdjson::simdjson_error& error) {
    return fail(Errc::invalid, fmt::format("the text is not valid JSON: {}", error.what()));
  }
  return document;
}

std::optional<std::string> Document::value(std::string_view path) const {
  for (const auto& [at, text] : values_) {
    if (at == path) return text;
  }
  return std::nullopt;
}

std::optional<std::int64_t> Document::integer(std::string_view path) const {
  const auto text = value(path);
  if (!text) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return number;
}

std::size_t Document::size(std::string_view path) const {
  for (const auto& [at, count] : sizes_) {
    if (at == path) return count;
  }
  return 0;
}

void Writer::separate() {
  if (!first_ && !after_key_) out_ += ',';
  first_ = false;
  after_key_ = false;
}

Writer& Writer::begin_object() {
  separate();
  out_ += '{';
  first_ = true;
  return *this;
}

Writer& Writer::end_object() {
  out_ += '}';
  first_ = false;
  return *this;
}

Writer& Writer::begin_array() {
  separate();
  out_ += '[';
  first_ = true;
  return *this;
}

Writer& Writer::end_array() {
  out_ += ']';
  first_ = false;
  return *this;
}

Writer& Writer::key(std::string_view name) {
  string(name);
  out_ += ':';
  after_key_ = true;
  return *this;
}

Writer& Writer::string(std::string_view text) {
  separate();
  out_ += '"';
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length_at(text, at);
    const char first = text[at];
    if (length == 0) {
      out_ += "\uFFFD";
    } else if (first == '"' || first == '\\') {
      (out_ += '\\') += first;
    } else if (length == 1 && static_cast<unsigned char>(first) < 0x20) {
      out_ += first == '\n' ? "\\n" : fmt::format("\\u{:04x}", static_cast<unsigned>(first));
    } else {
      out_ += text.substr(at, length);
    }
    at += length == 0 ? 1 : length;
  }
  out_ += '"';
  return *this;
}

Writer& Writer::integer(std::int64_t number) { return raw(fmt::format_int(number).c_str()); }

Writer& Writer::number(double number) { return std::isfinite(number) ? raw(fmt::format("{}", number)) : null(); }

Writer& Writer::boolean(bool flag) { return raw(flag ? "true" : "false"); }

Writer& Writer::null() { return raw("null"); }

Writer& Writer::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

}  // namespace twinspool::json
