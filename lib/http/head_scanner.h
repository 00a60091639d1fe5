// Finds the end of a head, or of the trailers of a chunked body, and holds it in one piece, whatever the split of the
// bytes.
//
// Refuses by itself what llhttp lets through or judges differently from release to release: bare CR and LF, control
// characters, obsolete line folding, lines without a name. What is complete holds only lines that end in CRLF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace twinspool::http {

class HeadScanner {
 public:
  enum class State : unsigned char { more, complete, malformed, too_long };
  enum class Kind : unsigned char {
    request,   // one empty line may come before it (RFC 9112 2.2)
    response,  // nothing may
    trailers,  // may be nothing but the empty line
  };

  explicit HeadScanner(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void begin(Kind kind);
  // Eats up to the end of the head, or to the first fault.
  std::size_t scan(std::string_view bytes);
  State state() const { return state_; }
  const char* reason() const { return reason_; }

  // State::complete only; valid until the scanned bytes go or the next begin().
  std::string_view head() const { return head_; }
  bool begun() const { return seen_ > blank_bytes_; }  // more than the empty line before it was seen
  std::size_t lines() const { return lines_; }         // complete ones, the empty ones not counted

 private:
  bool step(std::string_view bytes, std::size_t& at, std::size_t stop);
  bool refuse(const char* reason);
  void finish(std::string_view bytes, std::size_t eaten);

  const std::size_t bytes_max_;
  Kind kind_ = Kind::request;
  State state_ = State::more;
  const char* reason_ = "";
  bool after_cr_ = false;
  std::size_t seen_ = 0;
  std::size_t blank_bytes_ = 0;
  std::size_t line_bytes_ = 0;
  std::size_t lines_ = 0;
  std::string buffer_;  // what earlier calls brought, where one call did not bring all
  std::string_view head_;
};

}  // namespace twinspool::http
