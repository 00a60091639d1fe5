#include "forward/token_schedule.h"

#include "support/catch.h"

namespace twinspool::forward {
namespace {

using std::chrono::seconds;

const TimePoint t0{std::chrono::hours(1000)};
constexpr RetryConfig kRetry{.initial = 500ms, .max = 60s, .multiplier = 2, .retry_after_max = 1h};

TokenSchedule with_token(Duration life, Duration ahead = 5min, std::optional<Duration> refresh_in = std::nullopt) {
  TokenSchedule schedule(ahead, kRetry, 7);
  schedule.began(t0);
  schedule.fetched({.expires_in = life, .refresh_in = refresh_in}, t0 + 1s);
  return schedule;
}

}  // namespace

TEST_CASE("the first fetch is due at once, and one at a time", "[forward][token]") {
  TokenSchedule schedule(5min, kRetry, 1);
  CHECK_FALSE(schedule.usable(t0));
  CHECK(schedule.due() <= t0);
  schedule.began(t0);
  CHECK(schedule.due() == kNever);
}

TEST_CASE("a token is renewed refresh_ahead before its end, a little earlier by chance", "[forward][token]") {
  const TokenSchedule schedule = with_token(1h);
  CHECK(schedule.due() <= t0 + 55min);
  CHECK(schedule.due() >= t0 + 49min);
  CHECK(schedule.usable(schedule.due()));
}

TEST_CASE("gateways that began together do not renew together", "[forward][token]") {
  TokenSchedule one(5min, kRetry, 1);
  TokenSchedule other(5min, kRetry, 2);
  for (TokenSchedule* schedule : {&one, &other}) {
    schedule->began(t0);
    schedule->fetched({.expires_in = 1h, .refresh_in = std::nullopt}, t0);
  }
  CHECK(one.due() != other.due());
}

TEST_CASE("a token that lives shorter than refresh_ahead is renewed at half its life", "[forward][token]") {
  const TokenSchedule schedule = with_token(2s);
  CHECK(schedule.due() <= t0 + 1s);
  CHECK(schedule.due() >= t0 + 900ms);
}

TEST_CASE("refresh_in may only make a renewal earlier", "[forward][token]") {
  CHECK(with_token(1h, 5min, 10min).due() <= t0 + 10min);
  CHECK(with_token(1h, 5min, 10min).due() >= t0 + 9min);
  CHECK(with_token(1h, 5min, 59min).due() <= t0 + 55min);
}

TEST_CASE("a token's life is counted from the request, and its last moments are not used", "[forward][token]") {
  const TokenSchedule schedule = with_token(1h);
  CHECK(schedule.usable(t0 + 1h - 11s));
  CHECK_FALSE(schedule.usable(t0 + 1h - 10s));
  CHECK(schedule.expires_in(t0 + 10min) == Duration(50min));
  CHECK_FALSE(schedule.expires_in(t0 + 1h).has_value());
  const TokenSchedule short_lived = with_token(2s);
  CHECK(short_lived.usable(t0 + 1700ms));
  CHECK_FALSE(short_lived.usable(t0 + 1800ms));
}

TEST_CASE("a good token goes on being used while its renewal fails, and not beyond its end", "[forward][token]") {
  TokenSchedule schedule = with_token(1h);
  TimePoint now = schedule.due();
  while (now < t0 + 1h) {
    CHECK(schedule.usable(now) == (now < t0 + 1h - 10s));
    schedule.began(now);
    schedule.failed({}, now);
    CHECK(schedule.due() <= now + 60s);
    now = std::max(schedule.due(), now + 1ms);
  }
  CHECK_FALSE(schedule.usable(now));
}

TEST_CASE("failures space out up to retry.max, and a success forgets them", "[forward][token]") {
  TokenSchedule schedule(5min, kRetry, 3);
  TimePoint now = t0;
  Duration longest{};
  for (int n = 0; n < 40; ++n) {
    schedule.began(now);
    schedule.failed({}, now);
    longest = std::max(longest, schedule.due() - now);
    CHECK(schedule.due() - now <= Duration(60s));
    now = schedule.due();
  }
  CHECK(longest > 10s);
  CHECK(schedule.failures() == 40);
  schedule.began(now);
  schedule.fetched({.expires_in = 1h, .refresh_in = std::nullopt}, now);
  CHECK(schedule.failures() == 0);
}

TEST_CASE("Retry-After is never undercut", "[forward][token]") {
  TokenSchedule schedule(5min, kRetry, 4);
  schedule.began(t0);
  schedule.failed({.retry_after = 30s}, t0);
  CHECK(schedule.due() >= t0 + 30s);
  CHECK(schedule.due() < t0 + 60s);  // spread, as a whole fleet may have been told the same
}

TEST_CASE("what only a person can mend is tried slowly from the first failure on", "[forward][token]") {
  TokenSchedule schedule(5min, kRetry, 5);
  schedule.began(t0);
  schedule.failed({.needs_a_person = true}, t0);
  CHECK(schedule.due() >= t0 + 30s);
  CHECK(schedule.due() <= t0 + 60s);
}

TEST_CASE("a refused token is replaced at once, the one after it by backoff", "[forward][token]") {
  TokenSchedule schedule = with_token(1h);
  TimePoint now = t0 + 10min;
  schedule.refused(now);
  CHECK_FALSE(schedule.usable(now));
  CHECK(schedule.due() == now);
  Duration longest{};
  for (int n = 0; n < 20; ++n) {
    now = schedule.due();
    schedule.began(now);
    schedule.fetched({.expires_in = 1h, .refresh_in = std::nullopt}, now);
    schedule.refused(now + 10ms);
    longest = std::max(longest, schedule.due() - now);
  }
  CHECK(longest > 10s);
  SECTION("a token that had worked for a while counts as a new beginning") {
    now = schedule.due();
    schedule.began(now);
    schedule.fetched({.expires_in = 1h, .refresh_in = std::nullopt}, now);
    schedule.refused(now + 2min);
    CHECK(schedule.due() == now + 2min);
  }
}

TEST_CASE("a refusal does not overrun the backoff of a failing token endpoint", "[forward][token]") {
  TokenSchedule schedule = with_token(1h);
  const TimePoint now = schedule.due();
  schedule.began(now);
  schedule.failed({.retry_after = 60s}, now);
  schedule.refused(now + 1s);
  CHECK(schedule.due() >= now + 60s);
}

TEST_CASE("a refusal while a renewal is under way waits for it", "[forward][token]") {
  TokenSchedule schedule = with_token(1h);
  const TimePoint now = schedule.due();
  schedule.began(now);
  schedule.refused(now);
  CHECK(schedule.due() == kNever);
  schedule.fetched({.expires_in = 1h, .refresh_in = std::nullopt}, now + 1s);
  CHECK(schedule.usable(now + 1s));
}

}  // namespace twinspool::forward
