#include "admin/status.h"

#include "support/catch.h"
#include "util/json.h"

namespace twinspool::admin {
namespace {

Facts delivering() {
  Facts facts;
  facts.store_path = "/var/lib/twinspool/queue.db";
  facts.endpoint = "https://cloud.example";
  facts.now = from_unix_ms(1'800'000'060'000);
  facts.spool.queued_messages = 3;
  facts.spool.oldest = 17;
  facts.spool.oldest_accepted_ms = 1'800'000'000'000;
  facts.spool.accepted = 20;
  facts.spool.delivered = 16;
  facts.spool.quarantined = 1;
  facts.forwarder.state = forward::Forwarder::State::delivering;
  facts.forwarder.upstream = forward::Forwarder::Upstream::up;
  return facts;
}

json::Document parsed(const Facts& facts) {
  auto document = json::Document::parse(status_json(facts, condition_of(facts)));
  REQUIRE(document.has_value());
  return *document;
}

}  // namespace

TEST_CASE("the status says how much waits, how old it is, and what became of the rest", "[admin][status]") {
  const json::Document status = parsed(delivering());
  CHECK(status.value("state") == "delivering");
  CHECK(status.integer("queue.messages") == 3);
  CHECK(status.integer("queue.oldest_sequence") == 17);
  CHECK(std::stod(status.value("queue.oldest_age_seconds").value()) == 60.0);
  CHECK(status.integer("totals.accepted") == 20);
  CHECK(status.integer("totals.delivered") == 16);
  CHECK(status.integer("totals.quarantined") == 1);
  CHECK(status.value("upstream.state") == "up");
}

TEST_CASE("the status foretells the end of the drain and the full queue, or says null", "[admin][status]") {
  Facts facts = delivering();
  CHECK(parsed(facts).value("forecast.drain_eta_seconds") == "null");
  CHECK(parsed(facts).value("forecast.time_to_full_seconds") == "null");
  facts.outlook = {.arrivals_per_second = 2,
                   .departures_per_second = 12.5,
                   .drain_eta = std::chrono::minutes(10),
                   .time_to_full = std::chrono::hours(1)};
  const json::Document status = parsed(facts);
  CHECK(std::stod(status.value("forecast.drain_eta_seconds").value()) == 600);
  CHECK(std::stod(status.value("forecast.time_to_full_seconds").value()) == 3600);
  CHECK(std::stod(status.value("forecast.arrivals_per_second").value()) == 2);
  CHECK(std::stod(status.value("forecast.departures_per_second").value()) == 12.5);
}

TEST_CASE("the status says what waits of each socket, beside its quota", "[admin][status]") {
  Facts facts = delivering();
  facts.sockets = {{"/run/a.sock", {}}, {"/run/b.sock", {.messages = 5, .size = 70'000}}};
  facts.spool.sources = {{.messages = 1, .bytes = 300}, {.messages = 2, .bytes = 600}};
  const json::Document status = parsed(facts);
  CHECK(status.value("ingest.sockets.1.path") == "/run/b.sock");
  CHECK(status.integer("ingest.sockets.1.queued_messages") == 2);
  CHECK(status.integer("ingest.sockets.1.queued_bytes") == 600);
  CHECK(status.integer("ingest.sockets.1.quota_messages") == 5);
  CHECK(status.integer("ingest.sockets.1.quota_bytes") == 70'000);
  CHECK(status.integer("ingest.sockets.0.quota_messages") == 0);
}

TEST_CASE("the token's kind, state, end and newest error are told", "[admin][status]") {
  Facts facts = delivering();
  CHECK(parsed(facts).value("token.kind") == "none");
  CHECK(parsed(facts).value("token.expires_in_seconds") == "null");
  facts.token = {.kind = "client_secret",
                 .state = forward::TokenStatus::State::valid,
                 .expires_in = std::chrono::minutes(5),
                 .next_fetch_in = std::chrono::seconds(3),
                 .last_error = "the token endpoint login.test answered HTTP 500"};
  const json::Document status = parsed(facts);
  CHECK(status.value("token.kind") == "client_secret");
  CHECK(status.value("token.state") == "valid");
  CHECK(std::stod(status.value("token.expires_in_seconds").value()) == 300.0);
  CHECK(std::stod(status.value("token.next_fetch_in_seconds").value()) == 3.0);
  CHECK(status.value("token.last_error") == "the token endpoint login.test answered HTTP 500");
}

TEST_CASE("a clock that was set back makes no negative age", "[admin][status]") {
  Facts facts = delivering();
  facts.now = from_unix_ms(0);
  CHECK(std::stod(parsed(facts).value("queue.oldest_age_seconds").value()) == 0.0);
}

TEST_CASE("a store that takes nothing is degraded, whatever the forwarder does", "[admin][status]") {
  Facts facts = delivering();
  facts.spool.fault = "disk I/O error: check the disk, then restart";
  CHECK(condition_of(facts).state == State::degraded);
  CHECK(condition_of(facts).why == facts.spool.fault);
}

TEST_CASE("without an endpoint messages wait, and the status says which key is empty", "[admin][status]") {
  Facts facts = delivering();
  facts.endpoint.clear();
  CHECK(condition_of(facts).state == State::waiting);
  CHECK(condition_of(facts).why.find("forward.endpoint") != std::string::npos);
  facts.spool.queued_messages = 0;
  CHECK(condition_of(facts).state == State::idle);
}

TEST_CASE("a waiting forwarder's cause is the status's cause", "[admin][status]") {
  Facts facts = delivering();
  facts.forwarder.state = forward::Forwarder::State::waiting;
  facts.forwarder.why = "the cloud answers 503";
  CHECK(parsed(facts).value("state") == "waiting");
  CHECK(parsed(facts).value("why") == "the cloud answers 503");
}

}  // namespace twinspool::admin
