#include "forward/endpoint.h"

#include "support/catch.h"

namespace twinspool::forward {
namespace {

const TimePoint t0 = TimePoint{} + 1h;
const RetryConfig kRetry{.initial = 1s, .max = 60s, .multiplier = 2, .retry_after_max = 1h};

Outcome outcome(Verdict verdict, Duration retry_after = 0s) {
  return {.verdict = verdict,
          .failure = FailureClass::path,
          .status = 0,
          .code = {},
          .text = "why",
          .retry_after = retry_after};
}

struct Fixture {
  Endpoint endpoint{kRetry, 16, 1};

  Endpoint::Blame exchange(Verdict verdict, TimePoint now, TwinNumber twin = 1, Duration retry_after = 0s) {
    return endpoint.finished(endpoint.sent(now), outcome(verdict, retry_after), twin, now);
  }
  void come_up(TimePoint now) {  // as one that has been well for a minute
    for (int round = 0; round < 100; ++round) exchange(Verdict::delivered, now - 1min);
    endpoint.allowance(now);
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "an endpoint not known to be well gets one request at a time", "[forward][endpoint]") {
  CHECK(endpoint.allowance(t0) == 1);
  CHECK_FALSE(endpoint.known());
  const auto probe = endpoint.sent(t0);
  CHECK(endpoint.allowance(t0) == 0);
  CHECK(endpoint.finished(probe, outcome(Verdict::delivered), 1, t0) == Endpoint::Blame::message);
  CHECK(endpoint.state() == Endpoint::State::up);
  CHECK(endpoint.allowance(t0) == 0);  // the rate grows with time, too
  CHECK(endpoint.next_allowance() <= t0 + 2s);
  CHECK(endpoint.allowance(endpoint.next_allowance()) == 1);
  CHECK(endpoint.allowance(t0 + 1min) == 2);
}

TEST_CASE_METHOD(Fixture, "after recovery the requests at once double with each round, up to the connections",
                 "[forward][endpoint]") {
  std::vector<std::size_t> rounds;
  for (int round = 0; round < 7; ++round) {  // each takes a minute: the rate is no limit then
    const TimePoint now = t0 + round * 1min;
    std::vector<Endpoint::Permit> permits;
    while (endpoint.allowance(now) > 0) permits.push_back(endpoint.sent(now));
    rounds.push_back(permits.size());
    for (const auto& permit : permits) endpoint.finished(permit, outcome(Verdict::delivered), 1, now);
  }
  CHECK(rounds == std::vector<std::size_t>{1, 2, 4, 8, 16, 16, 16});
}

TEST_CASE_METHOD(Fixture, "a path failure stops everything for a jittered while, then one probe goes",
                 "[forward][endpoint]") {
  come_up(t0);
  CHECK(exchange(Verdict::retry_path, t0 + 1s) == Endpoint::Blame::endpoint);
  CHECK(endpoint.state() == Endpoint::State::waiting);
  CHECK(endpoint.ailing());
  const TimePoint retry_at = endpoint.retry_at();
  CHECK(retry_at < t0 + 2s);
  CHECK(endpoint.allowance(retry_at - 1ns) == 0);
  CHECK(endpoint.allowance(retry_at) == 1);
  CHECK(endpoint.ailing());  // until an answer proves otherwise
  exchange(Verdict::delivered, retry_at);
  CHECK_FALSE(endpoint.ailing());
  CHECK(endpoint.trouble().verdict == Verdict::delivered);
}

TEST_CASE_METHOD(Fixture, "failures lengthen the wait up to retry.max, and a delivery forgets them",
                 "[forward][endpoint]") {
  TimePoint now = t0;
  for (std::uint32_t failure = 1; failure <= 20; ++failure) {
    REQUIRE(endpoint.allowance(now) == 1);
    exchange(Verdict::retry_path, now);
    CHECK(endpoint.failures() == failure);
    CHECK(endpoint.retry_at() <= now + 60s);
    now = endpoint.retry_at();
  }
  exchange(Verdict::delivered, now);
  CHECK(endpoint.failures() == 0);
}

TEST_CASE_METHOD(Fixture, "many requests lost with one outage count as one failure", "[forward][endpoint]") {
  come_up(t0);
  std::vector<Endpoint::Permit> permits;
  while (endpoint.allowance(t0) > 0) permits.push_back(endpoint.sent(t0 + 1s));
  REQUIRE(permits.size() == 16);
  for (const auto& permit : permits) {
    CHECK(endpoint.finished(permit, outcome(Verdict::retry_path), 1, t0 + 2s) == Endpoint::Blame::endpoint);
  }
  CHECK(endpoint.failures() == 1);
  CHECK(endpoint.allowance(endpoint.retry_at()) == 1);
}

TEST_CASE_METHOD(Fixture, "a request lost while others were answered is its lane's affair", "[forward][endpoint]") {
  come_up(t0);
  const auto slow = endpoint.sent(t0 + 1s);
  exchange(Verdict::delivered, t0 + 2s);
  CHECK(endpoint.finished(slow, outcome(Verdict::retry_path), 1, t0 + 3s) == Endpoint::Blame::lane);
  CHECK(endpoint.state() == Endpoint::State::up);
  CHECK(endpoint.failed({0, t0 + 1s}, outcome(Verdict::retry_path), t0 + 3s) == Endpoint::Blame::lane);
}

TEST_CASE_METHOD(Fixture, "a proxy that refuses one connection more does not stop those it carries",
                 "[forward][endpoint]") {
  come_up(t0);
  const auto dial = endpoint.permit(t0 + 1s);
  exchange(Verdict::delivered, t0 + 2s);
  CHECK(endpoint.failed(dial, outcome(Verdict::hold_endpoint), t0 + 3s) == Endpoint::Blame::lane);
  CHECK(endpoint.state() == Endpoint::State::up);
  const auto later = endpoint.permit(t0 + 4s);  // and nobody was answered since
  CHECK(endpoint.failed(later, outcome(Verdict::hold_endpoint), t0 + 5s) == Endpoint::Blame::endpoint);
  CHECK(endpoint.state() == Endpoint::State::waiting);
}

TEST_CASE_METHOD(Fixture, "a throttling endpoint is left alone for as long as it asked", "[forward][endpoint]") {
  come_up(t0);
  const auto other = endpoint.sent(t0);
  exchange(Verdict::pause_endpoint, t0, 1, 30s);
  CHECK(endpoint.retry_at() >= t0 + 30s);
  SECTION("a second one that asks for more is heard as well") {
    endpoint.finished(other, outcome(Verdict::pause_endpoint, 50s), 2, t0 + 1s);
    CHECK(endpoint.retry_at() >= t0 + 51s);
    CHECK(endpoint.failures() == 1);
  }
  SECTION("an answer to an older request does not end the wait") {
    CHECK(endpoint.finished(other, outcome(Verdict::delivered), 2, t0 + 1s) == Endpoint::Blame::message);
    CHECK(endpoint.state() == Endpoint::State::waiting);
    CHECK(endpoint.allowance(t0 + 29s) == 0);
  }
}

TEST_CASE_METHOD(Fixture, "an endpoint that a person must mend is probed slowly", "[forward][endpoint]") {
  exchange(Verdict::hold_endpoint, t0);
  CHECK(endpoint.retry_at() >= t0 + 30s);
  CHECK(endpoint.retry_at() <= t0 + 60s);
}

TEST_CASE_METHOD(Fixture, "a refused token is renewed at once, once, and then with backoff", "[forward][endpoint]") {
  come_up(t0);
  const auto older = endpoint.sent(t0);
  exchange(Verdict::renew_token, t0);
  CHECK_FALSE(endpoint.ailing());
  CHECK(endpoint.allowance(t0) == 1);                              // at once, but alone
  endpoint.finished(older, outcome(Verdict::renew_token), 2, t0);  // sent with the old token: says nothing new
  CHECK(endpoint.allowance(t0) == 1);
  exchange(Verdict::renew_token, t0);
  CHECK(endpoint.ailing());
  CHECK(endpoint.failures() == 1);
  SECTION("after a good answer the next refusal is renewed at once again") {
    const TimePoint later = endpoint.retry_at();
    REQUIRE(endpoint.allowance(later) == 1);
    exchange(Verdict::delivered, later);
    exchange(Verdict::renew_token, later);
    CHECK_FALSE(endpoint.ailing());
    CHECK(endpoint.allowance(later) == 1);
  }
}

TEST_CASE_METHOD(Fixture, "one twin that always gets 500 stops nobody else, eight in a row do", "[forward][endpoint]") {
  come_up(t0);
  for (int round = 0; round < 50; ++round) CHECK(exchange(Verdict::retry_lane, t0, 1) == Endpoint::Blame::lane);
  CHECK(endpoint.state() == Endpoint::State::up);
  for (TwinNumber twin = 2; twin <= 7; ++twin) CHECK(exchange(Verdict::retry_lane, t0, twin) == Endpoint::Blame::lane);
  SECTION("unless one of them is answered") {
    exchange(Verdict::delivered, t0);
    CHECK(exchange(Verdict::retry_lane, t0, 8) == Endpoint::Blame::lane);
  }
  SECTION("the eighth") {
    CHECK(exchange(Verdict::retry_lane, t0, 8) == Endpoint::Blame::endpoint);
    CHECK(endpoint.state() == Endpoint::State::waiting);
  }
}

TEST_CASE_METHOD(Fixture, "a twin that does not exist proves that the endpoint is well", "[forward][endpoint]") {
  CHECK(exchange(Verdict::hold_lane, t0) == Endpoint::Blame::lane);
  CHECK(endpoint.state() == Endpoint::State::up);
  CHECK(exchange(Verdict::quarantine, t0) == Endpoint::Blame::message);
}

TEST_CASE_METHOD(Fixture, "a kick ends the wait and forgets the failures", "[forward][endpoint]") {
  for (int round = 0; round < 5; ++round) {
    REQUIRE(endpoint.allowance(t0 + round * 1min) == 1);
    exchange(Verdict::retry_path, t0 + round * 1min);
  }
  endpoint.kick();
  CHECK(endpoint.allowance(t0) == 1);
  CHECK(endpoint.ailing());
  exchange(Verdict::retry_path, t0);
  CHECK(endpoint.retry_at() <= t0 + 1s);
}

TEST_CASE_METHOD(Fixture, "a refused token does not slow the sending down, an outage does", "[forward][endpoint]") {
  come_up(t0);
  SECTION("a token that was renewed") {
    exchange(Verdict::renew_token, t0);
    exchange(Verdict::delivered, t0);
    CHECK(endpoint.allowance(t0) > 0);
  }
  SECTION("an outage") {
    exchange(Verdict::retry_path, t0);
    const TimePoint later = endpoint.retry_at();
    REQUIRE(endpoint.allowance(later) == 1);
    exchange(Verdict::delivered, later);
    CHECK(endpoint.allowance(later) == 0);
  }
}

TEST_CASE_METHOD(Fixture, "a withdrawn request leaves no trace", "[forward][endpoint]") {
  endpoint.withdrawn(endpoint.sent(t0));
  CHECK(endpoint.allowance(t0) == 1);
  CHECK_FALSE(endpoint.known());
}

}  // namespace twinspool::forward
