#include "ingest/telemetry_api.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "ingest/rfc3339.h"
#include "ingest/telemetry_checks.h"
#include "ingest/telemetry_target.h"
#include "ingest/text.h"
#include "util/json.h"

namespace twinspool::ingest {
namespace {

struct Head {  // views into the request
  std::string_view twin, component, message_id, source_time, traceparent;
};

char first_of_json(std::string_view text) {
  const std::size_t at = text.find_first_not_of(" \t\r\n");
  return at == std::string_view::npos ? '\0' : text[at];
}

Checked check_not_doubled(const http::Headers& headers) {
  for (const std::string_view name : {"Message-Id", "Telemetry-Source-Time", "traceparent", "Content-Type"}) {
    if (headers.count(name) > 1) return invalid("the header " + std::string(name) + " stands there more than once");
  }
  return {};
}

Checked check_tracing(const http::Headers& headers) {
  if (auto checked = check_short_text("the header traceparent", headers.get("traceparent").value_or("")); !checked)
    return checked;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    if (!same_ignoring_case(name, "tracestate")) continue;
    if (auto checked = check_text("the header tracestate", value); !checked) return checked;
    bytes += value.size() + 1;
  }
  if (bytes > kTracestateBytesMax) return invalid("the header tracestate " + size_against(bytes, kTracestateBytesMax));
  return {};
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
  if (checked) checked = check_message_id("the header Message-Id", head.message_id);
  if (checked) checked = check_source_time("the header Telemetry-Source-Time", head.source_time, config.source_time);
  if (checked) checked = check_tracing(headers);
  if (checked) checked = check_content_type(headers, "application/json");
  if (checked) checked = check_length(headers, kTelemetryBodyBytesMax);
  if (!checked) return tl::unexpected(std::move(checked.error()));
  return head;
}

Checked check_body(std::string_view body, std::string_view message_id) {
  if (body.size() > kTelemetryBodyBytesMax)
    return refuse(413, "PayloadTooLarge", "the body " + size_against(body.size(), kTelemetryBodyBytesMax));
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
