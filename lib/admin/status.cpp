#include "admin/status.h"

#include <unistd.h>

#include <algorithm>

#include "util/json.h"

namespace twinspool::admin {
namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string_view upstream_state(forward::Forwarder::Upstream upstream) {
  switch (upstream) {
    case forward::Forwarder::Upstream::unknown:
      return "unknown";
    case forward::Forwarder::Upstream::up:
      return "up";
    case forward::Forwarder::Upstream::down:
      return "down";
  }
  return "unknown";
}

std::int64_t number(std::uint64_t value) { return static_cast<std::int64_t>(value); }

void write_queue(json::Writer& out, const Facts& facts) {
  const SpoolStats& spool = facts.spool;
  out.key("queue").begin_object();
  out.key("messages").integer(number(spool.queued_messages)).key("bytes").integer(number(spool.queued_bytes));
  out.key("capacity_bytes").integer(number(facts.capacity_bytes));
  out.key("oldest_sequence").integer(number(spool.oldest));
  out.key("oldest_at");
  if (spool.oldest == 0) {
    out.null().key("oldest_age_seconds").integer(0);
  } else {
    const WallTime oldest = from_unix_ms(spool.oldest_accepted_ms);
    // A clock that was set back makes no negative age.
    out.string(to_rfc3339(oldest)).key("oldest_age_seconds").number(std::max(0.0, seconds(facts.now - oldest)));
  }
  out.end_object();
  out.key("totals").begin_object();
  out.key("accepted").integer(number(spool.accepted)).key("duplicates").integer(number(spool.duplicates));
  out.key("delivered").integer(number(spool.delivered)).key("quarantined").integer(number(spool.quarantined));
  out.key("dropped").integer(number(spool.dropped));
  out.key("replayed").integer(number(spool.replayed));
  out.key("retried").integer(number(spool.retried)).end_object();
  out.key("quarantine").begin_object().key("messages").integer(number(spool.quarantine_messages)).end_object();
  out.key("kept").begin_object().key("messages").integer(number(spool.kept_messages));
  out.key("bytes").integer(number(spool.kept_bytes)).end_object();
}

void write_forecast(json::Writer& out, const Outlook& outlook) {
  const auto or_null = [&out](std::string_view key, std::optional<double> value) {
    out.key(key);
    value ? out.number(*value) : out.null();
  };
  const auto as_seconds = [](std::optional<Duration> duration) {
    return duration ? std::optional(seconds(*duration)) : std::nullopt;
  };
  out.key("forecast").begin_object();
  or_null("drain_eta_seconds", as_seconds(outlook.drain_eta));
  or_null("time_to_full_seconds", as_seconds(outlook.time_to_full));
  or_null("arrivals_per_second", outlook.arrivals_per_second);
  or_null("departures_per_second", outlook.departures_per_second);
  out.end_object();
}

void write_upstream(json::Writer& out, const Facts& facts) {
  const forward::Forwarder::Stats& forwarder = facts.forwarder;
  out.key("upstream").begin_object();
  out.key("endpoint").string(facts.endpoint);
  out.key("state").string(upstream_state(forwarder.upstream)).key("why").string(forwarder.why);
  out.key("retry_in_seconds").number(seconds(forwarder.retry_in)).key("last_status").integer(forwarder.last_status);
  out.key("connections").integer(number(forwarder.connections)).key("in_flight").integer(number(forwarder.in_flight));
  out.end_object();
  out.key("lanes").begin_object();
  out.key("ready").integer(number(forwarder.lanes_ready)).key("in_flight").integer(number(forwarder.lanes_in_flight));
  out.key("waiting").integer(number(forwarder.lanes_retrying)).key("held").integer(number(forwarder.lanes_held));
  out.end_object();
}

void write_token(json::Writer& out, const forward::TokenStatus& token) {
  const auto seconds_or_null = [&out](const std::optional<Duration>& duration) {
    duration ? out.number(seconds(*duration)) : out.null();
  };
  out.key("token").begin_object();
  out.key("kind").string(token.kind).key("state").string(forward::to_string(token.state));
  out.key("expires_in_seconds");
  seconds_or_null(token.expires_in);
  out.key("next_fetch_in_seconds");
  seconds_or_null(token.next_fetch_in);
  out.key("last_error").string(token.last_error).end_object();
}

void write_store(json::Writer& out, const Facts& facts) {
  const SpoolStats& spool = facts.spool;
  out.key("store").begin_object();
  out.key("path").string(facts.store_path);
  out.key("file_bytes").integer(number(spool.file_bytes)).key("wal_bytes").integer(number(spool.wal_bytes));
  out.key("wal_held_by_pid").integer(spool.wal_holder);
  out.key("disk_free_bytes").integer(number(spool.disk_free_bytes));
  out.key("commit_typical_ms").number(seconds(spool.sync_typical) * 1000);
  out.key("degraded").string(spool.degraded);
  out.key("fault").string(spool.fault).key("closed_by_space").boolean(spool.ingest_closed_by_space);
  out.end_object();
}

void write_ingest(json::Writer& out, const Facts& facts) {
  out.key("ingest").begin_object();
  out.key("connections").integer(number(facts.ingest.connections));
  out.key("requests").begin_array();
  for (const auto& [code, count] : facts.ingest.answers) {
    out.begin_object().key("code").integer(code).key("count").integer(number(count)).end_object();
  }
  out.end_array();
  out.key("sockets").begin_array();
  for (std::size_t i = 0; i < std::min(facts.sockets.size(), facts.spool.sources.size()); ++i) {
    const auto& [path, quota] = facts.sockets[i];
    const Waiting& queued = facts.spool.sources[i];
    out.begin_object().key("path").string(path);
    out.key("queued_messages").integer(number(queued.messages)).key("queued_bytes").integer(number(queued.bytes));
    out.key("quota_messages").integer(number(quota.messages)).key("quota_bytes").integer(number(quota.size));
    out.end_object();
  }
  out.end_array().end_object();
}

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::delivering:
      return "delivering";
    case State::idle:
      return "idle";
    case State::waiting:
      return "waiting";
    case State::paused:
      return "paused";
    case State::degraded:
      return "degraded";
  }
  return "degraded";
}

Condition condition_of(const Facts& facts) {
  const WallTime start = facts.now - std::chrono::duration_cast<std::chrono::milliseconds>(facts.uptime);
  const WallTime since = facts.forwarder.since;
  if (!facts.spool.fault.empty()) return {State::degraded, facts.spool.fault, from_unix_ms(facts.spool.fault_since_ms)};
  if (!facts.spool.degraded.empty())  // whatever else goes on: until an operator acknowledges
    return {State::degraded, facts.spool.degraded, from_unix_ms(facts.spool.degraded_since_ms)};
  if (facts.endpoint.empty()) {
    if (facts.spool.queued_messages == 0) return {State::idle, "", start};
    return {State::waiting, "forward.endpoint is empty: messages are collected, not delivered", start};
  }
  switch (facts.forwarder.state) {
    case forward::Forwarder::State::idle:
      return {State::idle, "", since};
    case forward::Forwarder::State::delivering:
      return {State::delivering, "", since};
    case forward::Forwarder::State::waiting:
      return {State::waiting, facts.forwarder.why, since};
    case forward::Forwarder::State::paused:
      return {State::paused, facts.forwarder.why, since};
  }
  return {State::degraded, "", since};
}

std::string status_line(const Condition& condition, const SpoolStats& spool) {
  std::string line(to_string(condition.state));
  if (!condition.why.empty()) line += ": " + condition.why;
  line += "; " + std::to_string(spool.queued_messages) + (spool.queued_messages == 1 ? " message is" : " messages are");
  line += " queued";
  if (spool.quarantine_messages > 0) line += ", " + std::to_string(spool.quarantine_messages) + " in the quarantine";
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return line;
}

std::string status_json(const Facts& facts, const Condition& condition) {
  json::Writer out;
  out.begin_object();
  out.key("version").string(TWINSPOOL_VERSION);
  out.key("state").string(to_string(condition.state)).key("why").string(condition.why);
  out.key("since").string(to_rfc3339(condition.since));
  out.key("pid").integer(getpid()).key("uptime_seconds").number(seconds(facts.uptime));
  write_queue(out, facts);
  write_forecast(out, facts.outlook);
  write_upstream(out, facts);
  write_token(out, facts.token);
  write_store(out, facts);
  write_ingest(out, facts);
  out.key("clock").begin_object().key("synchronized").boolean(facts.clock_synchronized).end_object();
  out.end_object();
  return out.take();
}

}  // namespace twinspool::admin
