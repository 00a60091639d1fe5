#include "ops/message_text.h"

#include <fmt/format.h>

#include "ops/text.h"
#include "util/json.h"
#include "util/time.h"

namespace twinspool::ops {

namespace {

std::string time_text(std::int64_t unix_ms) { return to_rfc3339(from_unix_ms(unix_ms)); }

std::string name_of(const Telemetry& telemetry) {
  return printable(telemetry.component.empty() ? telemetry.twin : telemetry.twin + "/" + telemetry.component);
}

void put(json::Writer& out, std::string_view key, Sequence sequence) {
  out.key(key).integer(static_cast<std::int64_t>(sequence));
}

void begin(json::Writer& out, Sequence sequence, std::string_view state, const Telemetry& telemetry) {
  out.begin_object();
  put(out, "sequence", sequence);
  out.key("state").string(state).key("twin").string(telemetry.twin).key("component").string(telemetry.component);
  out.key("message_id").string(telemetry.message_id);
}

void put_sent(json::Writer& out, const Telemetry& telemetry) {
  out.key("source_time").string(telemetry.source_time).key("body").string(telemetry.body);
  out.key("traceparent").string(telemetry.traceparent).key("tracestate").string(telemetry.tracestate);
}

std::string line(std::string_view name, std::string_view value) {
  return value.empty() ? "" : fmt::format("{:<13} {}\n", name, printable(value));
}

std::string number_line(std::string_view name, Sequence number) {
  return number == 0 ? "" : line(name, std::to_string(number));
}

std::string sent_text(const Telemetry& telemetry) {
  return line("source_time", telemetry.source_time) + line("traceparent", telemetry.traceparent) +
         line("tracestate", telemetry.tracestate) + line("body", telemetry.body);
}

std::string names_text(Sequence sequence, std::string_view state, const Telemetry& telemetry) {
  return number_line("sequence", sequence) + line("state", state) + line("twin", telemetry.twin) +
         line("component", telemetry.component) + line("message_id", telemetry.message_id);
}

}  // namespace

std::string batch_line(const Telemetry& telemetry) {
  json::Writer out;
  out.begin_object().key("twin").string(percent_decoded(telemetry.twin));
  if (!telemetry.component.empty()) out.key("component").string(percent_decoded(telemetry.component));
  out.key("messageId").string(telemetry.message_id);
  for (const auto& [key, value] :
       {std::pair{"sourceTime", &telemetry.source_time}, std::pair{"traceparent", &telemetry.traceparent},
        std::pair{"tracestate", &telemetry.tracestate}})
    if (!value->empty()) out.key(key).string(*value);
  std::string body = telemetry.body;
  for (char& c : body)
    if (c == '\n' || c == '\r') c = ' ';
  out.key("telemetry").raw(body).end_object();
  return out.take() + "\n";
}

std::string list_heading() {
  return fmt::format("{:>10}  {:<20}  {:>6}  {:<18} {}\n", "SEQUENCE", "ACCEPTED (UTC)", "BYTES", "TWIN", "MESSAGE-ID");
}

std::string list_line(const QueuedMessage& message) {
  return fmt::format("{:>10}  {:.19}Z  {:>6}  {:<18} {}{}\n", message.sequence, time_text(message.accepted_ms),
                     message.bytes, name_of(message.telemetry), printable(message.telemetry.message_id),
                     message.sound ? "" : "  DAMAGED");
}

std::string newcomer_line(const Newcomer& message, std::size_t columns) {
  const std::string text =
      fmt::format("{:>10}  {}  {} {} {}", message.sequence, time_text(message.accepted_ms), name_of(message.telemetry),
                  printable(message.telemetry.message_id),
                  message.telemetry.body.empty() ? "(" + message.state + ")" : printable(message.telemetry.body));
  return (columns == 0 ? text : shortened(text, columns)) + "\n";
}

std::string message_json(const QueuedMessage& message) {
  json::Writer out;
  begin(out, message.sequence, "queued", message.telemetry);
  out.key("accepted_at").string(time_text(message.accepted_ms));
  put(out, "bytes", message.bytes);
  put_sent(out, message.telemetry);
  out.key("socket").string(message.socket);
  put(out, "replay_of", message.replay_of);
  put(out, "retry_of", message.retry_of);
  out.key("sound").boolean(message.sound).end_object();
  return out.take();
}

std::string newcomer_json(const Newcomer& message) {
  json::Writer out;
  begin(out, message.sequence, message.state, message.telemetry);
  out.key("accepted_at").string(time_text(message.accepted_ms));
  if (message.state == "queued") put_sent(out, message.telemetry);
  out.end_object();
  return out.take();
}

std::string left_json(const LeftMessage& message) {
  json::Writer out;
  begin(out, message.sequence, message.outcome, message.telemetry);
  out.key("accepted_at").string(time_text(message.accepted_ms)).key("at").string(time_text(message.at_ms));
  out.key("status").integer(message.status);
  if (message.kept) put_sent(out, message.telemetry);
  put(out, "replay_of", message.replay_of);
  put(out, "retry_of", message.retry_of);
  out.end_object();
  return out.take();
}

std::string quarantined_json(const Quarantined& message) {
  json::Writer out;
  begin(out, message.sequence, "quarantined", message.message);
  out.key("accepted_at").string(time_text(message.accepted_ms));
  out.key("quarantined_at").string(time_text(message.quarantined_ms));
  out.key("status").integer(message.status).key("reason").string(message.reason);
  out.key("error_code").string(message.error_code).key("error_message").string(message.error_message);
  out.key("attempts").integer(message.attempts);
  put_sent(out, message.message);
  put(out, "replay_of", message.replay_of);
  put(out, "retry_of", message.retry_of);
  out.end_object();
  return out.take();
}

std::string message_text(const QueuedMessage& message) {
  return names_text(message.sequence, message.sound ? "queued" : "queued, DAMAGED on disk: it will not be sent",
                    message.telemetry) +
         line("accepted_at", time_text(message.accepted_ms)) + number_line("bytes", message.bytes) +
         line("socket", message.socket) + number_line("replay_of", message.replay_of) +
         number_line("retry_of", message.retry_of) + sent_text(message.telemetry);
}

std::string left_text(const LeftMessage& message) {
  return names_text(message.sequence, message.outcome, message.telemetry) +
         line("accepted_at", time_text(message.accepted_ms)) + line("at", time_text(message.at_ms)) +
         number_line("status", static_cast<Sequence>(message.status)) + number_line("replay_of", message.replay_of) +
         number_line("retry_of", message.retry_of) +
         (message.kept ? sent_text(message.telemetry) : line("body", "(not kept: see store.keep_delivered)"));
}

std::string quarantined_text(const Quarantined& message) {
  return names_text(message.sequence, "quarantined", message.message) +
         line("accepted_at", time_text(message.accepted_ms)) + line("quarantined", time_text(message.quarantined_ms)) +
         line("reason", message.reason) + number_line("status", static_cast<Sequence>(message.status)) +
         line("error_code", message.error_code) + line("error_message", message.error_message) +
         number_line("attempts", static_cast<Sequence>(message.attempts)) +
         number_line("replay_of", message.replay_of) + number_line("retry_of", message.retry_of) +
         sent_text(message.message);
}

}  // namespace twinspool::ops
