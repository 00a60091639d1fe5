// JSON: simdjson to check and to read, one small writer. No JSON library appears in any header.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "util/error.h"

namespace twinspool::json {

// nullopt where `text` is one complete, valid JSON object in UTF-8 (nothing before or after but white space); else what
// is wrong with it, for the sender: "the body is a JSON string, not an object". Numbers may be of any size and
// precision. Any thread; each keeps its own parser.
std::optional<std::string> why_not_an_object(std::string_view text, std::string_view what = "the body");

constexpr std::size_t kPathBytesMax = 256;  // what has a longer path is not kept: nobody asks for it

// A parsed document, to be asked by path: value("error.code"). Small documents only (cloud answers, status, tests).
class Document {
 public:
  static Result<Document> parse(std::string_view text);

  // The value at a dotted path of member names and array indexes, as text: strings unescaped, the rest as written.
  // nullopt where there is none.
  std::optional<std::string> value(std::string_view path) const;
  std::optional<std::int64_t> integer(std::string_view path) const;
  std::size_t size(std::string_view path) const;  // elements of an array, members of an object, else 0

 private:
  struct Reader;
  std::vector<std::pair<std::string, std::string>> values_;  // leaf path → value, in document order
  std::vector<std::pair<std::string, std::size_t>> sizes_;   // container path → number of children
};

// Appends to one string; commas by itself. begin/end pairs must match; a key before each member of an object.
class Writer {
 public:
  Writer& begin_object();
  Writer& end_object();
  Writer& begin_array();
  Writer& end_array();
  Writer& key(std::string_view name);
  Writer& string(std::string_view text);  // invalid UTF-8 becomes U+FFFD: the output is always valid JSON
  Writer& integer(std::int64_t number);
  Writer& number(double number);  // not finite: null
  Writer& boolean(bool flag);
  Writer& null();
  Writer& raw(std::string_view json);  // already JSON
  std::string take() { return std::exchange(out_, {}); }

 private:
  void separate();
  std::string out_;
  bool first_ = true;
  bool after_key_ = false;
};

}  // namespace twinspool::json
