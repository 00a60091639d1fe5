#include "admin/metrics.h"

#include "support/catch.h"

namespace twinspool::admin {
namespace {

using namespace std::chrono_literals;

bool says(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

Facts gateway() {
  Facts facts;
  facts.endpoint = "https://cloud.example";
  facts.capacity_bytes = 4096;
  facts.now = from_unix_ms(1'800'000'060'500);
  facts.spool.queued_messages = 3;
  facts.spool.queued_bytes = 900;
  facts.spool.oldest = 17;
  facts.spool.oldest_accepted_ms = 1'800'000'000'000;
  facts.spool.accepted = 30;
  facts.spool.delivered = 16;
  facts.spool.quarantined = 1;
  facts.spool.dropped = 10;
  facts.spool.expired = 6;
  facts.spool.lost = 1;
  facts.ingest.answers = {{204, 27}, {429, 2}};
  return facts;
}

}  // namespace

TEST_CASE("what waits, and what became of the rest, reconciles", "[admin][metrics]") {
  const std::string text = metrics_text(gateway());
  CHECK(says(text, "twinspool_queue_messages 3"));
  CHECK(says(text, "twinspool_queue_bytes 900"));
  CHECK(says(text, "twinspool_queue_oldest_age_seconds 60.5"));
  CHECK(says(text, "twinspool_queue_capacity_bytes 4096"));
  CHECK(says(text, "twinspool_accepted_total 30"));
  CHECK(says(text, "twinspool_delivered_total 16"));
  CHECK(says(text, "twinspool_quarantined_total 1"));
  CHECK(says(text, "twinspool_dropped_total{reason=\"expired\"} 6"));
  CHECK(says(text, "twinspool_dropped_total{reason=\"full\"} 3"));
  CHECK(says(text, "twinspool_dropped_total{reason=\"lost\"} 1"));
  CHECK(says(text, "twinspool_ingest_requests_total{code=\"204\"} 27"));
  CHECK(says(text, "twinspool_ingest_requests_total{code=\"429\"} 2"));
}

TEST_CASE("a histogram's buckets hold all that is below them", "[admin][metrics]") {
  Facts facts = gateway();
  facts.spool.commit_durations.add(80us);
  facts.spool.commit_durations.add(90us);
  facts.spool.commit_durations.add(3ms);
  facts.spool.commit_durations.add(1min);
  const std::string text = metrics_text(facts);
  CHECK(says(text, "# TYPE twinspool_ingest_commit_duration_seconds histogram"));
  CHECK(says(text, "twinspool_ingest_commit_duration_seconds_bucket{le=\"0.0001\"} 2"));
  CHECK(says(text, "twinspool_ingest_commit_duration_seconds_bucket{le=\"0.0025\"} 2"));
  CHECK(says(text, "twinspool_ingest_commit_duration_seconds_bucket{le=\"0.005\"} 3"));
  CHECK(says(text, "twinspool_ingest_commit_duration_seconds_bucket{le=\"30\"} 3"));
  CHECK(says(text, "twinspool_ingest_commit_duration_seconds_bucket{le=\"+Inf\"} 4"));
  CHECK(says(text, "twinspool_ingest_commit_duration_seconds_count 4"));
  CHECK(says(text, "twinspool_ingest_commit_duration_seconds_sum 60.00317"));
}

TEST_CASE("the cloud is up until it is known to be down", "[admin][metrics]") {
  Facts facts = gateway();
  CHECK(says(metrics_text(facts), "twinspool_upstream_up 1"));
  facts.forwarder.upstream = forward::Forwarder::Upstream::down;
  facts.forwarder.offline = 90s;
  facts.forwarder.totals.failures[static_cast<std::size_t>(forward::FailureClass::tls)] = 4;
  facts.forwarder.lanes_held = 2;
  const std::string text = metrics_text(facts);
  CHECK(says(text, "twinspool_upstream_up 0"));
  CHECK(says(text, "twinspool_offline_seconds_total 90"));
  CHECK(says(text, "twinspool_forward_failures_total{class=\"tls\"} 4"));
  CHECK(says(text, "twinspool_lanes{state=\"held\"} 2"));
}

TEST_CASE("what has no limit, or is not known, makes no false figure", "[admin][metrics]") {
  Facts facts = gateway();
  facts.capacity_bytes = 0;
  facts.spool.disk_free_bytes = UINT64_MAX;
  facts.now = from_unix_ms(0);  // a clock that was set back
  facts.outlook.drain_eta = 90s;
  const std::string text = metrics_text(facts);
  CHECK(says(text, "twinspool_drain_eta_seconds 90"));
  CHECK(says(text, "twinspool_time_to_full_seconds +Inf"));
  CHECK(says(text, "twinspool_queue_capacity_bytes +Inf"));
  CHECK(says(text, "twinspool_queue_oldest_age_seconds 0"));
  CHECK(text.find("disk_free_bytes") == std::string::npos);
  CHECK(text.find("disk_written_bytes_total") == std::string::npos);
}

}  // namespace twinspool::admin
