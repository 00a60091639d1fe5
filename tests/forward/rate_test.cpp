#include "forward/rate.h"

#include "support/catch.h"

namespace twinspool::forward {
namespace {

const TimePoint t0 = TimePoint{} + 1h;

// Sends whenever it may, waking as it is told.
std::uint64_t messages_in(Duration time, const RateConfig& config, std::uint64_t bytes_each) {
  RateLimit limit(config);
  std::uint64_t count = 0;
  for (TimePoint now = t0; now < t0 + time;) {
    while (limit.may_send(now)) {
      limit.sent(bytes_each);
      ++count;
    }
    REQUIRE(limit.next() > now);
    now = limit.next();
  }
  return count;
}

}  // namespace

TEST_CASE("without a rate everything may be sent", "[forward][rate]") {
  RateLimit limit(RateConfig{});
  for (int n = 0; n < 100'000; ++n) limit.sent(1'000'000);
  CHECK(limit.may_send(t0));
}

TEST_CASE("messages a second are kept over ten seconds, with a tenth of a second's burst at the most",
          "[forward][rate]") {
  for (const std::uint64_t rate : {1U, 7U, 50U, 1000U, 20'000U}) {
    const std::uint64_t sent = messages_in(10s, {.messages = rate, .bytes = 0}, 300);
    CHECK(sent <= rate * 10 + rate / 10 + 3);
    CHECK(sent >= rate * 10 * 95 / 100);
  }
}

TEST_CASE("bytes a second are kept, also by messages larger than the bucket", "[forward][rate]") {
  CHECK(messages_in(100s, {.messages = 0, .bytes = 1000}, 5000) >= 19);
  CHECK(messages_in(100s, {.messages = 0, .bytes = 1000}, 5000) <= 21);
}

TEST_CASE("the stricter of the two rates holds", "[forward][rate]") {
  CHECK(messages_in(10s, {.messages = 100, .bytes = 1000}, 100) <= 112);
  CHECK(messages_in(10s, {.messages = 10, .bytes = 1'000'000}, 100) <= 112);
}

TEST_CASE("a quiet hour does not save up a burst", "[forward][rate]") {
  RateLimit limit({.messages = 100, .bytes = 0});
  REQUIRE(limit.may_send(t0));
  int sent = 0;
  while (limit.may_send(t0 + 1h)) {
    limit.sent(300);
    ++sent;
  }
  CHECK(sent <= 11);
}

}  // namespace twinspool::forward
