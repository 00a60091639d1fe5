#include "ingest/telemetry_batch.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "ingest/rfc3339.h"
#include "ingest/telemetry_target.h"
#include "ingest/text.h"
#include "util/json_members.h"

namespace twinspool::ingest {
namespace {

using Members = std::vector<json::Member>;

constexpr std::string_view kFields = "twin, component, messageId, sourceTime, traceparent, tracestate and telemetry";

tl::unexpected<ApiError> malformed(std::string message) { return refuse(400, "ValidationFailed", std::move(message)); }

std::string_view kind_text(json::Kind kind) {
  switch (kind) {
    case json::Kind::object:
      return "an object";
    case json::Kind::array:
      return "an array";
    case json::Kind::string:
      return "a string";
    case json::Kind::number:
      return "a number";
    case json::Kind::boolean:
      return "a boolean";
    case json::Kind::null:
      return "null";
  }
  return "something else";
}

struct Field {
  std::string_view name;
  std::string Telemetry::*into;
};
constexpr std::array<Field, 6> kTexts = {{{"twin", &Telemetry::twin},
                                          {"component", &Telemetry::component},
                                          {"messageId", &Telemetry::message_id},
                                          {"sourceTime", &Telemetry::source_time},
                                          {"traceparent", &Telemetry::traceparent},
                                          {"tracestate", &Telemetry::tracestate}}};

Checked take_text(const json::Member& member, std::string& into) {
  if (member.kind == json::Kind::null) return {};
  if (member.kind != json::Kind::string)
    return malformed(member.name + " is " + std::string(kind_text(member.kind)) + ", a string is accepted");
  Result<std::string> text = json::unescaped(member.raw);
  if (!text) return malformed(member.name + ": " + text.error().what);
  into = std::move(*text);
  return {};
}

Checked take_body(const json::Member& member, std::string& into) {
  if (member.kind == json::Kind::string)
    return malformed("telemetry is a string, an object is accepted: leave out JSON.stringify or json.dumps");
  if (member.kind != json::Kind::object)
    return malformed("telemetry is " + std::string(kind_text(member.kind)) + ", an object is accepted");
  if (member.raw.size() > kTelemetryBodyBytesMax)
    return malformed("telemetry " + size_against(member.raw.size(), kTelemetryBodyBytesMax));
  into = member.raw;
  return {};
}

Checked take_members(const Members& members, Telemetry& into) {
  for (auto member = members.begin(); member != members.end(); ++member) {
    if (std::any_of(members.begin(), member, [&](const auto& other) { return other.name == member->name; }))
      return malformed(quoted(member->name) + " stands there twice");
    const auto text = std::find_if(kTexts.begin(), kTexts.end(), [&](const auto& f) { return f.name == member->name; });
    Checked taken;
    if (text != kTexts.end()) {
      taken = take_text(*member, into.*(text->into));
    } else if (member->name == "telemetry") {
      taken = take_body(*member, into.body);
    } else {
      taken = malformed(quoted(member->name) + " is not known here, these are: " + std::string(kFields));
    }
    if (!taken) return taken;
  }
  if (into.body.empty()) return malformed("telemetry is missing: the object to send");
  return {};
}

// Of the single call it is bounded by the head that it stands in.

Checked check_tracestate(std::string_view value) {
  if (value.size() > kTracestateBytesMax)
    return invalid("tracestate " + size_against(value.size(), kTracestateBytesMax));
  return check_text("tracestate", value);
}

Checked check_values(Telemetry& telemetry, const IngestConfig& config) {
  if (telemetry.twin.empty()) return invalid("twin is missing or empty: the id of the twin to write to");
  telemetry.twin = path_encoded(telemetry.twin);
  telemetry.component = path_encoded(telemetry.component);
  Checked checked = check_id("twin id", telemetry.twin);
  if (checked && !telemetry.component.empty()) checked = check_id("component path", telemetry.component);
  if (checked) checked = check_message_id("messageId", telemetry.message_id);
  if (checked) checked = check_source_time("sourceTime", telemetry.source_time, config.source_time);
  if (checked) checked = check_short_text("traceparent", telemetry.traceparent);
  if (checked) checked = check_tracestate(telemetry.tracestate);
  return checked;
}

tl::expected<Telemetry, ApiError> read_line(std::string_view line, const IngestConfig& config, const Access& access) {
  Result<Members> members = json::members_of(line);
  if (!members) return malformed(members.error().what);
  Telemetry telemetry;
  Checked checked = take_members(*members, telemetry);
  if (checked) checked = check_values(telemetry, config);
  if (checked) checked = access.check_twin(telemetry.twin);
  if (!checked) return tl::unexpected(std::move(checked.error()));
  return telemetry;
}

// Collects the bad lines, and makes one refusal of them.
class BadLines {
 public:
  void add(std::uint32_t line, ApiError error) {
    only_forbidden_ = only_forbidden_ && error.status == 403;
    if (count_++ < kBatchDetailsMax) details_.push_back({line, error.code, std::move(error.message)});
  }
  bool any() const { return count_ > 0; }

  ApiError take(std::size_t lines) {
    ApiError error{.status = only_forbidden_ ? 403 : 400, .code = only_forbidden_ ? "Forbidden" : "ValidationFailed"};
    error.message = std::to_string(count_) + " of " + std::to_string(lines) + " lines " + (count_ == 1 ? "is" : "are") +
                    " bad, so none was stored; the first: line " + std::to_string(details_.front().line) + ": " +
                    details_.front().message;
    if (count_ > kBatchDetailsMax)
      error.message += " (details has the first " + std::to_string(kBatchDetailsMax) + " bad ones, " +
                       std::to_string(count_ - kBatchDetailsMax) + " more are not listed)";
    error.details = std::move(details_);
    return error;
  }

 private:
  std::size_t count_ = 0;
  bool only_forbidden_ = true;
  std::vector<ErrorDetail> details_;
};

}  // namespace

std::optional<ApiError> check_batch_head(const http::Request& head, const IngestConfig& config) {
  if (head.method != "POST") {
    ApiError error{
        .status = 405, .code = "MethodNotAllowed", .message = "a batch takes POST, not " + quoted(head.method)};
    error.allow = "POST";
    return error;
  }
  Checked checked;
  if (head.headers.count("Content-Type") > 1) checked = invalid("the header Content-Type stands there more than once");
  if (checked) checked = check_content_type(head.headers, "application/x-ndjson");
  if (checked) checked = check_length(head.headers, static_cast<std::size_t>(config.batch_max));
  if (checked) return std::nullopt;
  return std::move(checked.error());
}

tl::expected<AcceptedBatch, ApiError> read_batch(http::Request&& request, const IngestConfig& config,
                                                 const Access& access, WallTime accepted_at) {
  if (auto error = check_batch_head(request, config)) return tl::unexpected(std::move(*error));
  const std::string stamp = config.stamp_source_time ? to_rfc3339(accepted_at) : std::string();
  AcceptedBatch batch;
  BadLines bad;
  std::size_t lines = 0;  // with something in them
  std::string_view rest = request.body;
  for (std::uint32_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (++lines > kBatchMessagesMax)
      return refuse(413, "PayloadTooLarge",
                    "the batch has more than " + std::to_string(kBatchMessagesMax) + " messages: send smaller ones");
    tl::expected<Telemetry, ApiError> telemetry = read_line(line, config, access);
    if (!telemetry) {
      bad.add(number, std::move(telemetry.error()));
      continue;
    }
    if (bad.any()) continue;  // nothing will be stored
    if (telemetry->source_time.empty()) {
      telemetry->source_time = stamp;
    } else if (!is_rfc3339(telemetry->source_time)) {
      ++batch.source_times_not_rfc3339;
    }
    batch.messages.push_back(std::move(*telemetry));
    batch.lines.push_back(number);
  }
  if (bad.any()) return tl::unexpected(bad.take(lines));
  if (lines == 0) return malformed("the batch is empty: one message a line is accepted");
  return batch;
}

ApiError batch_refused(const Refused& refused, const std::vector<std::uint32_t>& lines) {
  ApiError error = to_api_error(refused);
  for (const std::size_t index : refused.which) {
    error.details.push_back({lines.at(index), error.code,
                             "the messageId was accepted for this twin with another telemetry", error.inner_code});
  }
  if (!error.details.empty())
    error.message = "line " + std::to_string(error.details.front().line) + ": " + error.message;
  return error;
}

}  // namespace twinspool::ingest
