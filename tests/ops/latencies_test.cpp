#include "ops/latencies.h"

#include "support/catch.h"

using twinspool::ops::Latencies;

TEST_CASE("quantiles are exact for short times and within 1/64 for long ones", "[ops][bench]") {
  Latencies latencies;
  CHECK(latencies.quantile(0.5) == 0);
  for (std::uint64_t n = 1; n <= 100; ++n) latencies.add(n);
  CHECK(latencies.count() == 100);
  CHECK(latencies.quantile(0.5) == 50);
  CHECK(latencies.quantile(0.99) == 99);
  CHECK(latencies.quantile(1) == 100);
  for (const std::uint64_t value : {127ULL, 128ULL, 129ULL, 1000ULL, 65'535ULL, 65'536ULL, 12'345'678ULL}) {
    Latencies one;
    one.add(value);
    CAPTURE(value);
    CHECK(one.quantile(0.5) >= value);
    CHECK(one.quantile(0.5) <= value + value / 64);
  }
}

TEST_CASE("one slow answer in a thousand is the p99.9's, not the p99's", "[ops][bench]") {
  Latencies latencies;
  latencies.add(100, 998);
  latencies.add(50'000, 2);
  CHECK(latencies.quantile(0.99) == 100);
  CHECK(latencies.quantile(0.999) >= 50'000);
}
