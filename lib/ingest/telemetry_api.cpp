#include "ingest/telemetry_api.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "ingest/rfc3339.h"
#include "ingest/telemetry_target.h"
#include "ingest/text.h"
#include "util/json.h"

namespace twinspool::ingest {
namespace {

using Checked = tl::expected<void, ApiError>;

struct Head {  // views into the request
  std::string_view twin, component, message_id, source_time, traceparent;
};

tl::unexpected<ApiError> refuse(int status, std::string_view code, std::string message) {
  return tl::unexpected(ApiError{.status = status, .code = code, .message = std::move(message)});
}
tl::unexpected<ApiError> invalid(std::string message) { return refuse(400, "InvalidArgument", std::move(message)); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool same_ignoring_case(std::string_view text, std::string_view lower_case) {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](char c, char wanted) { return lower(c) == wanted; });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

char first_of_json(std::string_view text) {
  const std::size_t at = text.find_first_not_of(" \t\r\n");
  return at == std::string_view::npos ? '\0' : text[at];
}

std::string size_against(std::size_t size, std::size_t limit) {
  return "is " + std::to_string(size) + " bytes, the limit is " + std::to_string(limit);
}

Checked check_not_doubled(const http::Headers& headers) {
  for (const std::string_view name : {"Message-Id", "Telemetry-Source-Time", "traceparent", "Content-Type"}) {
    if (headers.count(name) > 1) return invalid("the header " + std::string(name) + " stands there more than once");
  }
  return {};
}

Checked check_text(std::string_view name, std::string_view value) {
  if (const auto fault = text_fault(value); !fault.empty()) {
    return invalid("the header " + std::string(name) + ": " + quoted(value) + " " + std::string(fault));
  }
  return {};
}

Checked check_short_text(std::string_view name, std::string_view value) {
  if (value.size() > kHeaderTextBytesMax) {
    return invalid("the header " + std::string(name) + " " + size_against(value.size(), kHeaderTextBytesMax));
  }
  return check_text(name, value);
}

Checked check_message_id(std::string_view message_id) {
  if (message_id.empty()) {
    return invalid(
        "the header Message-Id is missing or empty, send one that no other message of this twin has, such as a UUID");
  }
  return check_short_text("Message-Id", message_id);
}

Checked check_source_time(std::string_view source_time, SourceTimeRule rule) {
  if (source_time.empty() || rule == SourceTimeRule::any || is_rfc3339(source_time)) {
    return check_short_text("Telemetry-Source-Time", source_time);
  }
  return invalid("the header Telemetry-Source-Time: " + quoted(source_time) +
                 " is not a time of RFC 3339, as in 2023-10-31T23:20:50.52Z");
}

Checked check_tracing(const http::Headers& headers) {
  if (auto checked = check_short_text("traceparent", headers.get("traceparent").value_or("")); !checked) return checked;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    if (!same_ignoring_case(name, "tracestate")) continue;
    if (auto checked = check_text("tracestate", value); !checked) return checked;
  }
  return {};
}

Checked check_content_type(const http::Headers& headers) {
  const auto type = headers.get("Content-Type");
  constexpr std::string_view kRemedy = "send -H 'Content-Type: application/json'";
  if (!type) return refuse(415, "UnsupportedMediaType", "there is no Content-Type, " + std::string(kRemedy));
  if (!same_ignoring_case(trimmed(type->substr(0, type->find(';'))), "application/json")) {
    return refuse(415, "UnsupportedMediaType",
                  "Content-Type " + quoted(*type) + " is not taken, " + std::string(kRemedy));
  }
  const auto encoding = headers.get("Content-Encoding");
  if (encoding && !same_ignoring_case(trimmed(*encoding), "identity")) {
    return refuse(415, "UnsupportedMediaType",
                  "Content-Encoding " + quoted(*encoding) + " is not taken, send the body as it is");
  }
  return {};
}

ApiError too_large(std::string_view size) {
  return {
      .status = 413,
      .code = "PayloadTooLarge",
      .message = "the body is " + std::string(size) + " bytes, the limit is " + std::to_string(kTelemetryBodyBytesMax)};
}

Checked check_length(const http::Headers& headers) {
  const auto length = headers.get("Content-Length");
  if (!length) return {};
  std::size_t bytes = 0;
  const auto [end, error] = std::from_chars(length->data(), length->data() + length->size(), bytes);
  if (error == std::errc() && bytes <= kTelemetryBodyBytesMax) return {};
  if (error == std::errc::invalid_argument) return {};  // the HTTP server lets no such pass
  return tl::unexpected(too_large(length->substr(0, static_cast<std::size_t>(end - length->data()))));
}

// In the order in which people fix things: where it goes, how, who, what.
tl::expected<Head, ApiError> read_head(const http::Request& request, const IngestConfig& config) {
  const auto path = parse_telemetry_target(request.target);
  if (!path) return tl::unexpected(path.error());
  if (request.method != "POST") {
    ApiError error{
        .status = 405, .code = "MethodNotAllowed", .message = "telemetry takes POST, not " + quoted(request.method)};
    error.allow = "POST";
    return tl::unexpected(std::move(error));
  }
  const http::Headers& headers = request.headers;
  const Head head{.twin = path->twin,
                  .component = path->component,
                  .message_id = headers.get("Message-Id").value_or(""),
                  .source_time = headers.get("Telemetry-Source-Time").value_or(""),
                  .traceparent = headers.get("traceparent").value_or("")};

  Checked checked = check_api_version(path->query);
  if (checked) checked = check_id("twin id", head.twin);
  if (checked && path->has_component) checked = check_id("component path", head.component);
  if (checked) checked = check_not_doubled(headers);
  if (checked) checked = check_message_id(head.message_id);
  if (checked) checked = check_source_time(head.source_time, config.source_time);
  if (checked) checked = check_tracing(headers);
  if (checked) checked = check_content_type(headers);
  if (checked) checked = check_length(headers);
  if (!checked) return tl::unexpected(std::move(checked.error()));
  return head;
}

Checked check_body(std::string_view body, std::string_view message_id) {
  if (body.size() > kTelemetryBodyBytesMax) return tl::unexpected(too_large(std::to_string(body.size())));
  const auto why = json::why_not_an_object(body);
  if (!why) return {};
  const bool is_string = first_of_json(body) == '"';
  if (is_string && first_of_json(message_id) == '{') {
    return refuse(400, "ValidationFailed",
                  "the Message-Id is a JSON object and the body is a JSON string: they are swapped, as "
                  "publishComponentTelemetry of "
                  "the JavaScript SDK 1.1.0 does; send the object as the body and the id in the header Message-Id");
  }
  std::string message = *why;
  if (is_string)
    message +=
        "; some SDK samples pass a string where the object itself is needed: leave out JSON.stringify or json.dumps";
  return refuse(400, "ValidationFailed", std::move(message));
}

// A list header may be spread over several lines (RFC 9110, 5.3).
std::string joined_tracestate(const http::Headers& headers) {
  std::string joined;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    if (!same_ignoring_case(name, "tracestate") || value.empty()) continue;
    if (!joined.empty()) joined += ',';
    joined += value;
  }
  return joined;
}

}  // namespace

std::optional<ApiError> check_head(const http::Request& head, const IngestConfig& config) {
  auto read = read_head(head, config);
  if (read) return std::nullopt;
  return std::move(read.error());
}

tl::expected<Accepted, ApiError> read_telemetry(http::Request&& request, const IngestConfig& config,
                                                WallTime accepted_at) {
  auto head = read_head(request, config);
  if (!head) return tl::unexpected(std::move(head.error()));
  if (auto checked = check_body(request.body, head->message_id); !checked)
    return tl::unexpected(std::move(checked.error()));

  Accepted accepted{.telemetry = {.twin = std::string(head->twin),
                                  .component = std::string(head->component),
                                  .message_id = std::string(head->message_id),
                                  .source_time = std::string(head->source_time),
                                  .traceparent = std::string(head->traceparent),
                                  .tracestate = joined_tracestate(request.headers),
                                  .body = std::move(request.body)}};
  std::string& source_time = accepted.telemetry.source_time;
  if (!source_time.empty()) {
    accepted.source_time_not_rfc3339 = !is_rfc3339(source_time);
  } else if (config.stamp_source_time) {
    source_time = to_rfc3339(accepted_at);
  }
  return accepted;
}

}  // namespace twinspool::ingest
