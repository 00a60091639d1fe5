// What an answer of the cloud, or the failure of a connection, means for a message: the whole answer table, in one
// place. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "util/error.h"
#include "util/time.h"

namespace twinspool::forward {

enum class Verdict : std::uint8_t {
  delivered,       // the message is with the cloud
  quarantine,      // this message will never be taken; its twin goes on
  hold_lane,       // the twin or component does not exist (yet)
  retry_lane,      // the service failed at this request
  renew_token,     // the token was refused
  pause_endpoint,  // the service asks everybody to wait
  hold_endpoint,   // the endpoint or a proxy on the way refuses everybody: somebody must mend something
  retry_path,      // no whole answer came: whether the cloud has the message is unknown
};

enum class FailureClass : std::uint8_t {  // label of the metric forward_failures_total, and of log lines
  none,
  message,    // 400, 413, 415, 422
  twin,       // 404 of a twin or component
  token,      // 401, or no token to be had
  endpoint,   // 403, 404 of the instance, 3xx, 407, HTML, other 4xx
  throttled,  // 429
  service,    // 408, 5xx
  timeout,    // no answer within forward.request_timeout or connect_timeout
  path,       // name look-up, connection, reset, cut or malformed answer
  tls,        // handshake or certificate
};
constexpr std::size_t kFailureClasses = 10;
std::string_view to_string(FailureClass failure);

constexpr std::size_t kAnswerTextBytesMax = 1024;  // of Outcome::text; what the cloud wrote beyond it is cut off
constexpr std::size_t kAnswerCodeBytesMax = 128;

struct Outcome {
  Verdict verdict = Verdict::delivered;
  FailureClass failure = FailureClass::none;
  int status = 0;          // 0: no answer
  std::string code;        // the cloud's, from x-ms-error-code, else error.code of the body; empty: none
  std::string text;        // for people: one printable line
  Duration retry_after{};  // zero: the answer named none
};

struct AnswerRules {
  Duration retry_after_max = std::chrono::hours(1);
  WallTime now{};             // for a Retry-After date where the answer has no Date of its own
  std::string_view secret{};  // what was sent and must not come back in a text: the token
};

Outcome classify(const http::Response& answer, const AnswerRules& rules);
Outcome classify(const Error& error);
std::string describe(const Outcome& outcome);  // for people: "HTTP 404 DigitalTwinNotFound: ..."

struct Meaning {  // of a verdict, for people
  std::string_view concerns;
  std::string_view consequence;
};
Meaning meaning_of(Verdict verdict);

// A page for people, made by a proxy or a captive portal: the cloud and the token endpoints speak JSON.
bool is_page(const http::Response& answer);

// What retry-after-ms, x-ms-retry-after-ms or Retry-After ask for, at most retry_after_max; zero: nothing.
Duration retry_after(const http::Headers& headers, const AnswerRules& rules);

// Seconds since 1970 of an HTTP date in any of its three forms (RFC 9110, 5.6.7).
std::optional<std::int64_t> http_date(std::string_view text);

// One line that may go into a log or a table: control characters and invalid UTF-8 become '?', cut at a whole
// character.
std::string printable(std::string_view text, std::size_t bytes_max);

}  // namespace twinspool::forward
