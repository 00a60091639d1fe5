// An HTTP/1.1 message as the daemon sees it: complete, decoded of its framing, with header names compared without case.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace twinspool::http {

bool same_name(std::string_view left, std::string_view right);  // header names: ASCII letters without case

class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string_view, std::string_view>> fields);

  void add(std::string_view name, std::string_view value);
  std::optional<std::string_view> get(std::string_view name) const;  // the first of that name
  std::size_t count(std::string_view name) const;
  std::size_t size() const { return fields_.size(); }
  std::pair<std::string_view, std::string_view> at(std::size_t index) const;
  void clear();
  void reserve(std::size_t text_bytes, std::size_t fields);

 private:
  struct Field {
    std::uint32_t name_at, name_size, value_at, value_size;
  };
  std::string text_;  // names and values, one behind the other: one allocation for all
  std::vector<Field> fields_;
};

struct Request {
  std::string method;
  std::string target;  // as received: path and query, percent-encoding untouched
  Headers headers;
  std::string body;
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;
};

// `Content-Length`, `Connection` and `Date` are written by the connections themselves: do not put them into headers. A
// control character in a header goes out as a space, so that no value can add a line.
std::string serialize(const Request& request);  // with Host from the headers
std::string serialize(const Response& response, bool keep_alive);

struct Framing {
  bool keep_alive = true;
  bool head_only = false;      // the answer to a HEAD request: the length of the body, but not the body
  std::string_view date = {};  // IMF-fixdate; empty: no Date header
};
// A 204 carries neither body nor Content-Length (RFC 9110 8.6), nor do 1xx and 304.
void append_response(std::string& out, const Response& response, const Framing& framing);
std::string_view reason_phrase(int status);

}  // namespace twinspool::http
