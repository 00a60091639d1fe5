// A refusal of the local API, in the words and the shape of the cloud's. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "spool/spool.h"
#include "util/time.h"

namespace twinspool::ingest {

struct ErrorDetail {  // of one line of a batch
  std::uint32_t line = 0;
  std::string_view code;
  std::string message;
  std::string_view inner_code = {};
};

struct ApiError {
  int status = 0;
  std::string_view code;        // a literal: "InvalidArgument"
  std::string message;          // what was wrong and what is accepted, for the sender
  std::string_view inner_code;  // a literal; empty: no innererror
  std::string_view allow;       // 405: the methods of that path
  Duration retry_after{0};      // not zero: the same request may succeed later
  std::vector<ErrorDetail> details = {};
};

// {"error":{"code","message","details"?,"innererror"?}}, x-ms-error-code, and Retry-After in whole seconds, rounded up,
// where a retry can help: SDKs retry whatever carries one, so a permanent refusal must not.
http::Response error_response(const ApiError& error);

ApiError to_api_error(const Refused& refused);                // the spool's
ApiError fault_error(int status, const std::string& reason);  // the HTTP server's

}  // namespace twinspool::ingest
