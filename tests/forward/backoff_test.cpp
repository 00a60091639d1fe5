#include "forward/backoff.h"

#include "forward/log_budget.h"
#include "support/catch.h"

namespace twinspool::forward {

TEST_CASE("a delay never exceeds its ceiling, and the ceiling never exceeds retry.max", "[forward][backoff]") {
  const RetryConfig config{.initial = 500ms, .max = 60s, .multiplier = 2};
  Backoff backoff(config, 7);
  CHECK(backoff.ceiling(1) == 500ms);
  CHECK(backoff.ceiling(2) == 1s);
  CHECK(backoff.ceiling(7) == 32s);
  CHECK(backoff.ceiling(8) == 60s);
  CHECK(backoff.ceiling(4'000'000'000) == 60s);
  for (std::uint32_t failures = 1; failures < 40; ++failures) {
    for (int round = 0; round < 50; ++round) {
      const Duration delay = backoff.delay(failures);
      REQUIRE(delay >= 0s);
      REQUIRE(delay < backoff.ceiling(failures));
    }
  }
}

TEST_CASE("delays spread over all of the time up to the ceiling", "[forward][backoff]") {
  Backoff backoff({.initial = 1s, .max = 60s, .multiplier = 2}, 1);
  int low = 0, high = 0;
  for (int round = 0; round < 1000; ++round) {
    const Duration delay = backoff.delay(1);
    low += delay < 250ms ? 1 : 0;
    high += delay > 750ms ? 1 : 0;
  }
  CHECK(low > 150);
  CHECK(high > 150);
}

TEST_CASE("what the server asked for is never undercut, and still spread", "[forward][backoff]") {
  Backoff backoff({.initial = 1s, .max = 60s, .multiplier = 2}, 1);
  int late = 0;
  for (int round = 0; round < 1000; ++round) {
    const Duration delay = backoff.delay(3, 30s);
    REQUIRE(delay >= 30s);
    REQUIRE(delay < 60s);
    late += delay > 50s ? 1 : 0;
  }
  CHECK(late > 200);  // a whole fleet was asked for the same
  for (int round = 0; round < 100; ++round) {
    REQUIRE(backoff.delay(3, 0s) < 4s);
    REQUIRE(backoff.delay(3, 1h) < 1h + 60s);
  }
}

TEST_CASE("without jitter everybody comes back at the same moment", "[forward][backoff]") {
  Backoff backoff({.initial = 1s, .max = 60s, .multiplier = 2}, 1, Jitter::none);
  CHECK(backoff.delay(3) == 4s);
}

TEST_CASE("the same seed gives the same delays, another one others", "[forward][backoff]") {
  const RetryConfig config;
  Backoff a(config, 5), b(config, 5), c(config, 6);
  const Duration first = a.delay(8);
  CHECK(first == b.delay(8));
  CHECK(first != c.delay(8));
}

TEST_CASE("slow probing waits between half of retry.max and all of it", "[forward][backoff]") {
  Backoff backoff({.initial = 500ms, .max = 60s, .multiplier = 2}, 3);
  for (int round = 0; round < 100; ++round) {
    const Duration delay = backoff.slow_delay();
    REQUIRE(delay >= 30s);
    REQUIRE(delay <= 60s);
  }
}

TEST_CASE("a burst is cut to its lines, and the next line says how many were left out", "[forward][log]") {
  LogBudget budget(2);
  const TimePoint t0{};
  CHECK(budget.spend(t0) == 0U);
  CHECK(budget.spend(t0) == 0U);
  CHECK_FALSE(budget.spend(t0));
  CHECK_FALSE(budget.spend(t0 + 59s));
  CHECK(budget.spend(t0 + 60s) == 2U);
  CHECK(budget.spend(t0 + 61s) == 0U);
}

}  // namespace twinspool::forward
