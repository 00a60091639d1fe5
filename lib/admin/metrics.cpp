#include "admin/metrics.h"

#include <fmt/format.h>

#include <map>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

namespace twinspool::admin {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string text_of(double value) {
  return std::isinf(value) ? (value > 0 ? "+Inf" : "-Inf") : fmt::format("{}", value);
}

class Exposition {
 public:
  void gauge(std::string_view name, std::string_view help, double value) {
    family(name, "gauge", help);
    sample(name, "", text_of(value));
  }

  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, "counter", help);
    sample(name, "", fmt::format("{}", value));
  }

  void family(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(text_), "# HELP twinspool_{} {}\n# TYPE twinspool_{} {}\n", name, help, name,
                   type);
  }

  void sample(std::string_view name, std::string_view labels, std::string_view value) {
    fmt::format_to(std::back_inserter(text_), "twinspool_{}{} {}\n", name, labels, value);
  }

  void labelled(std::string_view name, std::string_view label, std::string_view which, std::uint64_t value) {
    sample(name, fmt::format("{{{}=\"{}\"}}", label, which), fmt::format("{}", value));
  }

  void histogram(std::string_view name, std::string_view help, const DurationHistogram& durations) {
    family(name, "histogram", help);
    const std::string bucket = fmt::format("{}_bucket", name);
    std::uint64_t so_far = 0;
    for (std::size_t i = 0; i < durations.counts().size(); ++i) {
      so_far += durations.counts()[i];
      const bool last = i == DurationHistogram::kBounds.size();
      labelled(bucket, "le", text_of(last ? kUnlimited : seconds(DurationHistogram::kBounds[i])), so_far);
    }
    sample(fmt::format("{}_sum", name), "", text_of(seconds(durations.sum())));
    sample(fmt::format("{}_count", name), "", fmt::format("{}", so_far));
  }

  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void write_queue(Exposition& out, const Facts& facts) {
  const SpoolStats& spool = facts.spool;
  out.gauge("queue_messages", "Messages that wait for delivery.", static_cast<double>(spool.queued_messages));
  out.gauge("queue_bytes", "Their bytes, as store.max_size counts them.", static_cast<double>(spool.queued_bytes));
  const Duration age =
      spool.oldest == 0 ? Duration::zero() : Duration(facts.now - from_unix_ms(spool.oldest_accepted_ms));
  out.gauge("queue_oldest_age_seconds", "How long the oldest of them has waited, by the wall clock.",
            seconds(std::max(age, Duration::zero())));
  out.gauge("queue_capacity_bytes", "store.max_size; +Inf without a limit.",
            facts.capacity_bytes == 0 ? kUnlimited : static_cast<double>(facts.capacity_bytes));
}

void write_totals(Exposition& out, const Facts& facts) {
  const SpoolStats& spool = facts.spool;
  out.counter("accepted_total", "Messages answered 204, or put back by an operator; duplicates not among them.",
              spool.accepted);
  out.counter("duplicates_total", "Repetitions of messages that had been accepted before.", spool.duplicates);
  out.counter("delivered_total", "Messages that the cloud took.", spool.delivered);
  out.counter("quarantined_total", "Messages set aside because the cloud will never take them.", spool.quarantined);
  out.gauge("quarantine_messages", "Messages in the quarantine now.", static_cast<double>(spool.quarantine_messages));
  out.family("dropped_total", "counter",
             "Messages dropped: expired (store.max_age), full (store.when_full: drop_oldest), lost (a damaged file).");
  out.labelled("dropped_total", "reason", "expired", spool.expired);
  out.labelled("dropped_total", "reason", "full", spool.dropped - spool.expired - spool.lost);
  out.labelled("dropped_total", "reason", "lost", spool.lost);
}

void write_ingest(Exposition& out, const Facts& facts) {
  out.family("ingest_requests_total", "counter", "Requests of applications, by the status they were answered with.");
  // From 0 on, or the first one would be no rise to whoever looks at rates.
  std::map<int, std::uint64_t> answers{{204, 0}, {400, 0}, {403, 0}, {413, 0}, {429, 0}, {503, 0}, {507, 0}};
  for (const auto& [code, count] : facts.ingest.answers) answers[code] = count;
  for (const auto& [code, count] : answers)
    out.labelled("ingest_requests_total", "code", fmt::format("{}", code), count);
  out.histogram("ingest_commit_duration_seconds", "How long commits took, syncs included.",
                facts.spool.commit_durations);
}

void write_forward(Exposition& out, const Facts& facts) {
  using forward::FailureClass;
  const forward::Forwarder::Stats& forwarder = facts.forwarder;
  out.histogram("forward_request_duration_seconds", "From sending a request to the cloud's whole answer.",
                forwarder.totals.request_durations);
  out.family("forward_failures_total", "counter",
             "Attempts that ended with anything but a delivery, by who is to blame.");
  for (std::size_t i = 0; i < forward::kFailureClasses; ++i) {
    const auto which = static_cast<FailureClass>(i);
    if (which == FailureClass::none) continue;
    out.labelled("forward_failures_total", "class", forward::to_string(which), forwarder.totals.failures[i]);
  }
  out.family("lanes", "gauge", "Twins with messages in memory, by what they do.");
  out.labelled("lanes", "state", "ready", forwarder.lanes_ready);
  out.labelled("lanes", "state", "in_flight", forwarder.lanes_in_flight);
  out.labelled("lanes", "state", "waiting", forwarder.lanes_retrying);
  out.labelled("lanes", "state", "held", forwarder.lanes_held);
  out.gauge("upstream_up", "0 while the cloud is known to be out of reach or refusing, else 1.",
            forwarder.upstream == forward::Forwarder::Upstream::down ? 0 : 1);
  out.family("offline_seconds_total", "counter", "How long upstream_up has been 0.");
  out.sample("offline_seconds_total", "", text_of(seconds(forwarder.offline)));
}

void write_forecast(Exposition& out, const Outlook& outlook) {
  const auto or_never = [](std::optional<Duration> duration) { return duration ? seconds(*duration) : kUnlimited; };
  out.gauge("drain_eta_seconds", "When the queue will be empty; +Inf: it does not shrink, or nobody knows yet.",
            or_never(outlook.drain_eta));
  out.gauge("time_to_full_seconds", "When it will be full; +Inf: it does not grow, has no limit, or nobody knows yet.",
            or_never(outlook.time_to_full));
}

void write_store(Exposition& out, const Facts& facts) {
  const SpoolStats& spool = facts.spool;
  out.counter("sync_total", "Syncs that the queue asked the disk for: one a commit, two a checkpoint.", spool.syncs);
  out.gauge("wal_bytes", "Size of the write-ahead log.", static_cast<double>(spool.wal_bytes));
  if (facts.disk_written_bytes)
    out.counter("disk_written_bytes_total", "Bytes that the process caused to be written to storage.",
                *facts.disk_written_bytes);
  if (spool.disk_free_bytes != UINT64_MAX)
    out.gauge("disk_free_bytes", "Free space of the queue's file system.", static_cast<double>(spool.disk_free_bytes));
}

}  // namespace

std::string metrics_text(const Facts& facts) {
  Exposition out;
  write_queue(out, facts);
  write_totals(out, facts);
  write_ingest(out, facts);
  write_forward(out, facts);
  write_forecast(out, facts.outlook);
  write_store(out, facts);
  out.gauge("clock_synchronized", "1 where something keeps the wall clock right.", facts.clock_synchronized ? 1 : 0);
  out.family("build_info", "gauge", "Always 1; its label says which version runs.");
  out.labelled("build_info", "version", TWINSPOOL_VERSION, 1);
  return out.take();
}

}  // namespace twinspool::admin
