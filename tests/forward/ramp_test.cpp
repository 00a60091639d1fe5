#include "forward/ramp.h"

#include "support/catch.h"

namespace twinspool::forward {
namespace {

using namespace std::chrono_literals;

const TimePoint t0 = TimePoint{} + 1h;

struct Fixture {
  Ramp ramp{500ms};
  TimePoint now = t0;

  // Sends whatever is allowed for `time`, waking up as the forwarder does, and gives how much that was.
  std::size_t send_for(Duration time) {
    const TimePoint end = now + time;
    std::size_t sent = 0;
    while (now < end && !ramp.over()) {
      while (!ramp.over() && ramp.allowance(now) > 0) {
        ramp.sent();
        ++sent;
      }
      now = std::min(std::max(ramp.next(), now + 1ms), end);
    }
    return sent;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "after an outage the rate doubles with time from two a second", "[forward][ramp]") {
  ramp.outage();
  ramp.begin(now);
  CHECK(ramp.allowance(now) == 0);
  std::vector<std::size_t> seconds;
  for (int second = 0; second < 5; ++second) seconds.push_back(send_for(1s));
  // The integral of 2 x 4^t over each second: 4.3, 17, 69, 277, 1108.
  const std::vector<std::pair<std::size_t, std::size_t>> expected{{3, 5}, {14, 19}, {60, 75}, {250, 290}, {1000, 1150}};
  for (std::size_t second = 0; second < seconds.size(); ++second) {
    INFO("second " << second);
    CHECK(seconds[second] >= expected[second].first);
    CHECK(seconds[second] <= expected[second].second);
  }
}

TEST_CASE_METHOD(Fixture, "after some seconds nothing is limited, however little was sent", "[forward][ramp]") {
  ramp.begin(now);
  CHECK(ramp.allowance(t0 + 6s) < 10'000);
  CHECK_FALSE(ramp.over());
  CHECK(ramp.allowance(t0 + 7s) > 1'000'000);
  CHECK(ramp.over());
}

TEST_CASE_METHOD(Fixture, "what was not sent is not saved up beyond a tenth of a second", "[forward][ramp]") {
  ramp.begin(now);
  CHECK(ramp.allowance(t0 + 2s) == 3);  // 32/s by then
}

TEST_CASE_METHOD(Fixture, "the next moment at which something may be sent is never missed", "[forward][ramp]") {
  ramp.begin(now);
  for (int round = 0; round < 100; ++round) {
    now = ramp.next();
    REQUIRE(ramp.allowance(now) >= 1);
    while (!ramp.over() && ramp.allowance(now) > 0) ramp.sent();
  }
}

TEST_CASE_METHOD(Fixture,
                 "who was throttled goes on somewhat slower, grows slowly, and forgets it once more goes through",
                 "[forward][ramp]") {
  ramp.begin(now);
  send_for(3s);  // 128/s now
  ramp.throttled();
  now += 2s;
  ramp.begin(now);
  const std::size_t first = send_for(1s);
  CHECK(first > 80);
  CHECK(first < 100);  // 71 % of 128
  send_for(6s);
  const std::size_t eighth = send_for(1s);
  CHECK(eighth > first);
  CHECK(eighth < 135);
  send_for(8s);  // twice the first by now: above what was throttled
  CHECK(send_for(1s) > 250);
}

TEST_CASE_METHOD(Fixture, "after an outage a rate that was throttled is remembered on the way up", "[forward][ramp]") {
  ramp.begin(now);
  send_for(3s);
  ramp.throttled();
  ramp.outage();
  ramp.begin(now);
  CHECK(send_for(1s) < 6);
  send_for(2s);  // quickly up to 90/s, and slowly on
  CHECK(send_for(1s) < 110);
}

TEST_CASE_METHOD(Fixture, "who is throttled without a limit begins again from below", "[forward][ramp]") {
  ramp.begin(now);
  REQUIRE(ramp.allowance(t0 + 10s) > 1000);
  ramp.throttled();
  ramp.begin(t0 + 10s);
  CHECK(ramp.allowance(t0 + 11s) == 1);
}

TEST_CASE_METHOD(Fixture, "who is throttled again and again still comes back", "[forward][ramp]") {
  ramp.begin(now);
  for (int round = 0; round < 100; ++round) {
    ramp.throttled();
    ramp.begin(now);
  }
  const TimePoint began = now;
  send_for(10min);
  CHECK(now - began < 60s);
}

}  // namespace twinspool::forward
