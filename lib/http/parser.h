// llhttp with our limits: bytes in any split give the same messages.
//
// Strict beyond llhttp 8.1 (shared by both sides): HTTP/1.1 only (answers may be 1.0), no bare CR or LF, obsolete line
// folding, empty header names or control characters; one Content-Length or one Transfer-Encoding of exactly `chunked`,
// never both; requests have exactly one Host and no CONNECT. An Upgrade header changes nothing; trailers are read and
// dropped. After an error no byte is looked at any more: framing is lost, the connection must end.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"
#include "util/error.h"

namespace twinspool::http {

struct ParserLimits {
  std::size_t head_bytes_max = 16 * 1024;  // request or status line and all headers
  std::size_t headers_max = 64;
  std::size_t target_bytes_max = 8 * 1024;
  std::size_t body_bytes_max = 32 * 1024;
};

// What ended parsing, as the answer a server gives before it closes.
enum class Fault : std::uint8_t {
  none,
  malformed,        // 400
  head_too_large,   // 431
  target_too_long,  // 414
  body_too_large,   // 413
  version,          // 505
};

// So much of a body that is over its limit, or not wanted at all, is still read and dropped, so that the connection
// lives on after the refusal. More than that is Fault::body_too_large.
constexpr std::size_t kDroppedBodyBytesMax = 1024 * 1024;

class RequestParser {
 public:
  // The answer to a complete head. `body_bytes_max` is this request's body limit; `drop_body` means: read and drop the
  // body whatever its size, and deliver the request without it.
  struct Admission {
    std::size_t body_bytes_max;
    bool drop_body = false;
  };
  // `body_too_large`: the body was over its limit and is dropped. Neither may destroy the parser.
  struct Events {
    std::function<Admission(const Request& head)> on_head;
    std::function<void(Request&& request, bool keep_alive, bool body_too_large)> on_request;
  };

  RequestParser(const ParserLimits& limits, Events events);
  ~RequestParser();
  RequestParser(RequestParser&&) = delete;

  // Eats all of `bytes`, or stops at the first fault, or stops early when pause() was called from an event: returns how
  // many bytes were eaten. After a fault: 0. What follows a request that was the last one (`Connection: close`) is
  // dropped.
  std::size_t feed(std::string_view bytes);
  void pause();  // from inside on_request: feed returns after this message (back-pressure)

  Fault fault() const;
  std::string fault_reason() const;  // one sentence for the peer
  bool in_message() const;           // some bytes of a message were seen, not all of it

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A body over `body_bytes_max` is cut there and its answer delivered at once with keep_alive = false: a huge error page
// must not hide its status. What follows a last answer is dropped.
class ResponseParser {
 public:
  explicit ResponseParser(const ParserLimits& limits, std::function<void(Response&&, bool keep_alive)> on_response);
  ~ResponseParser();
  ResponseParser(ResponseParser&&) = delete;

  std::size_t feed(std::string_view bytes);
  // The connection ended: completes an answer that is delimited by it; an answer cut short is an error.
  Result<void> end();
  // 1xx answers are skipped (no more than a few before an answer). A 204 with Content-Length: 0 is tolerated (the cloud
  // sends it), with any other body it is malformed.
  void expect_head_answer(bool flag);  // the next answer is to a HEAD request: it has no body

  Fault fault() const;
  std::string fault_reason() const;
  bool in_message() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace twinspool::http
