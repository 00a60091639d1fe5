#include "ops/bench.h"

#include "support/catch.h"
#include "util/json.h"

using namespace twinspool;

TEST_CASE("a bench says how many messages of which twins it will store, before it does", "[ops][bench]") {
  const ops::LoadOptions load{.clients = 8, .body_bytes = 300, .count = 1000, .twin_prefix = "bench-"};
  const std::string text = ops::what_it_will_do(load);
  CHECK(text.find("1000 messages of 300 bytes over 8 connections") != std::string::npos);
  CHECK(text.find("bench-0 to bench-7") != std::string::npos);
}

TEST_CASE("a bench reports the rate, the quantiles and what was refused", "[ops][bench]") {
  ops::LoadReport report{
      .messages = 3000, .refused = {{429, 2}}, .first_refusal = "the quota", .seconds = 2, .latencies = {}};
  report.latencies.add(100, 3000);
  const std::string text = ops::render_bench({}, report, false);
  CHECK(text.find("1500/s") != std::string::npos);
  CHECK(text.find("0.10 ms (p99)") != std::string::npos);
  CHECK(text.find("2 requests were refused with 429") != std::string::npos);
  CHECK(text.find("the quota") != std::string::npos);
  const auto document = json::Document::parse(ops::render_bench({}, report, true));
  REQUIRE(document.has_value());
  CHECK(document->integer("messages") == 3000);
  CHECK(document->integer("latency_us.p50") == 100);
  CHECK(document->integer("refused.429") == 2);
}
