#include "ingest/api_error.h"

#include <algorithm>

#include "util/json.h"

namespace twinspool::ingest {
namespace {

constexpr Duration kRetryAfterMin = std::chrono::seconds(1);

void write_inner(json::Writer& out, std::string_view code) {
  if (!code.empty()) out.key("innererror").begin_object().key("code").string(code).end_object();
}

}  // namespace

http::Response error_response(const ApiError& error) {
  json::Writer out;
  out.begin_object().key("error").begin_object();
  out.key("code").string(error.code).key("message").string(error.message);
  if (!error.details.empty()) {
    out.key("details").begin_array();
    for (const ErrorDetail& detail : error.details) {
      out.begin_object().key("code").string(detail.code);
      out.key("message").string("line " + std::to_string(detail.line) + ": " + detail.message);
      out.key("line").integer(detail.line);
      write_inner(out, detail.inner_code);
      out.end_object();
    }
    out.end_array();
  }
  write_inner(out, error.inner_code);
  out.end_object().end_object();

  http::Response response{.status = error.status, .headers = {}, .body = out.take()};
  response.headers.add("Content-Type", "application/json; charset=utf-8");
  response.headers.add("x-ms-error-code", error.code);
  if (!error.allow.empty()) response.headers.add("Allow", error.allow);
  if (error.retry_after > Duration::zero()) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(error.retry_after).count();
    response.headers.add("Retry-After", std::to_string(seconds));
  }
  return response;
}

ApiError to_api_error(const Refused& refused) {
  ApiError error{.message = refused.what, .retry_after = std::max(refused.retry_after, kRetryAfterMin)};
  switch (refused.why) {
    case Refusal::message_id_reused:
      error.status = 400;
      error.code = "InvalidArgument";
      error.inner_code = "MessageIdReused";
      error.retry_after = Duration::zero();
      return error;
    case Refusal::quota:
      if (refused.retry_after > Duration::zero()) {
        error.status = 429;
        error.code = "QuotaExceeded";
        return error;
      }
      error.status = 413;
      error.code = "PayloadTooLarge";
      error.retry_after = Duration::zero();
      return error;
    case Refusal::inbox_full:
    case Refusal::storage:
    case Refusal::shutting_down:
      error.status = 503;
      error.code = "Unavailable";
      return error;
    case Refusal::queue_full:
    case Refusal::disk_full:
      error.status = 507;
      error.code = "InsufficientStorage";
      return error;
  }
  return error;
}

ApiError fault_error(int status, const std::string& reason) {
  const auto code = [status]() -> std::string_view {
    switch (status) {
      case 408:
        return "RequestTimeout";
      case 411:
        return "LengthRequired";
      case 413:
        return "PayloadTooLarge";
      case 414:
        return "UriTooLong";
      case 417:
        return "ExpectationFailed";
      case 503:
        return "Unavailable";
      case 431:
        return "RequestHeaderFieldsTooLarge";
      case 505:
        return "HttpVersionNotSupported";
      default:
        return "BadRequest";
    }
  };
  ApiError error{.status = status, .code = code(), .message = reason};
  if (status == 503) error.retry_after = kRetryAfterMin;
  return error;
}

}  // namespace twinspool::ingest
