#include "admin/message_answers.h"

#include <chrono>
#include <cstdlib>

#include "admin/answers.h"
#include "config/units.h"
#include "ingest/rfc3339.h"
#include "util/json.h"
#include "util/time.h"

namespace twinspool::admin {

namespace {

std::string time_text(std::int64_t unix_ms) { return to_rfc3339(from_unix_ms(unix_ms)); }

void put(json::Writer& out, std::string_view key, Sequence sequence) {
  out.key(key).integer(static_cast<std::int64_t>(sequence));
}

void put_back_marks(json::Writer& out, Sequence replay_of, Sequence retry_of) {
  if (replay_of != 0) put(out, "replay_of", replay_of);
  if (retry_of != 0) put(out, "retry_of", retry_of);
}

// The digits of a text that is_rfc3339() accepts.
int digits(std::string_view text, std::size_t from, std::size_t count) {
  int number = 0;
  for (const char c : text.substr(from, count)) number = number * 10 + (c - '0');
  return number;
}

}  // namespace

std::string whereabouts_json(const Whereabouts& found) {
  json::Writer out;
  out.begin_object().key("state").string(found.state);
  if (found.sequence != 0) {
    put(out, "sequence", found.sequence);
    out.key("accepted_at").string(time_text(found.accepted_ms));
    if (found.at_ms != 0) out.key("at").string(time_text(found.at_ms));
    if (found.status != 0) out.key("status").integer(found.status);
    if (!found.reason.empty()) {
      out.key("reason").string(found.reason);
      out.key("error_code").string(found.error_code).key("error_message").string(found.error_message);
    }
    put_back_marks(out, found.replay_of, found.retry_of);
  }
  out.end_object();
  return out.take();
}

std::string quarantine_json(const std::vector<Quarantined>& all, bool bodies) {
  json::Writer out;
  out.begin_object().key("messages").begin_array();
  for (const Quarantined& one : all) {
    const Telemetry& message = one.message;
    out.begin_object();
    put(out, "sequence", one.sequence);
    out.key("twin").string(message.twin).key("component").string(message.component);
    out.key("message_id").string(message.message_id).key("source_time").string(message.source_time);
    out.key("traceparent").string(message.traceparent).key("tracestate").string(message.tracestate);
    out.key("accepted_at").string(time_text(one.accepted_ms));
    out.key("quarantined_at").string(time_text(one.quarantined_ms));
    out.key("status").integer(one.status).key("reason").string(one.reason);
    out.key("error_code").string(one.error_code).key("error_message").string(one.error_message);
    out.key("attempts").integer(one.attempts);
    if (bodies) out.key("body").string(message.body);
    put_back_marks(out, one.replay_of, one.retry_of);
    out.end_object();
  }
  out.end_array().end_object();
  return out.take();
}

std::string recalled_json(const Recalled& recalled, bool dry_run) {
  json::Writer out;
  out.begin_object().key("dry_run").boolean(dry_run);
  put(out, "messages", recalled.messages);
  put(out, "bytes", recalled.bytes);
  put(out, "damaged", recalled.damaged);
  put(out, "unknown", recalled.unknown);
  out.key("stopped").string(recalled.stopped);
  if (recalled.stopped_at_ms != 0) out.key("go_on_since").string(time_text(recalled.stopped_at_ms));
  out.end_object();
  return out.take();
}

std::string snapshot_json(const Snapshot& snapshot) {
  json::Writer out;
  out.begin_object().key("file").string(snapshot.file);
  put(out, "bytes", snapshot.bytes);
  put(out, "queued_messages", snapshot.queued_messages);
  put(out, "quarantine_messages", snapshot.quarantine_messages);
  out.end_object();
  return out.take();
}

http::Response failure_response(const Error& error) {
  if (error.code == Errc::timeout)
    return error_response(503, "LookUpTimedOut",
                          "it took too long and was given up, so that it does not hold up the queue: ask again when "
                          "less waits, or ask a copy (twinspool snapshot) with sqlite3");
  const int status = error.code == Errc::busy || error.code == Errc::closed ? 503
                     : error.code == Errc::full                             ? 507
                     : error.code == Errc::invalid                          ? 400
                                                                            : 500;
  return error_response(status, "Failed", error.what);
}

std::optional<std::int64_t> point_in_time(std::string_view text, std::int64_t now_ms) {
  if (!ingest::is_rfc3339(text)) {
    const Result<Duration> back = parse_duration(text);
    if (!back || *back <= Duration::zero()) return std::nullopt;
    return now_ms - std::chrono::duration_cast<std::chrono::milliseconds>(*back).count();
  }
  using namespace std::chrono;
  const sys_days day = year(digits(text, 0, 4)) / month(static_cast<unsigned>(digits(text, 5, 2))) /
                       std::chrono::day(static_cast<unsigned>(digits(text, 8, 2)));
  std::int64_t ms = duration_cast<milliseconds>(day.time_since_epoch() + hours(digits(text, 11, 2)) +
                                                minutes(digits(text, 14, 2)) + seconds(digits(text, 17, 2)))
                        .count();
  std::size_t at = 19;
  if (text[at] == '.') {
    int unit = 100;
    for (++at; text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) ms += (text[at] - '0') * unit;
  }
  if (text[at] == '+' || text[at] == '-') {
    const std::int64_t offset = (digits(text, at + 1, 2) * 60 + digits(text, at + 4, 2)) * 60'000;
    ms += text[at] == '-' ? offset : -offset;
  }
  return ms;
}

}  // namespace twinspool::admin
