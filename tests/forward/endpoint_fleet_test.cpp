// 200 endpoints, as those of 200 gateways, before one cloud that throttles: what it is asked in each second, in virtual
// time. scripts/bench fleet measures the same with real daemons.
#include <algorithm>
#include <queue>
#include <random>

#include "forward/endpoint.h"
#include "support/catch.h"

namespace twinspool::forward {
namespace {

const TimePoint t0 = TimePoint{} + 1h;
constexpr Duration kAnswerTime = 20ms;
constexpr std::size_t kGateways = 200;

const Outcome kAway{.verdict = Verdict::retry_path, .failure = FailureClass::path, .status = 0, .code = {}, .text = {}};
const Outcome kUnavailable{.verdict = Verdict::pause_endpoint,
                           .failure = FailureClass::service,
                           .status = 503,
                           .code = {},
                           .text = {},
                           .retry_after = 60s};

struct Weather {
  std::size_t gateways = kGateways;
  std::size_t limit = 300;  // requests of a second; those beyond it get 429 and Retry-After
  Duration retry_after = 1s;
  Duration bad_from = 60s, bad_to = 120s;
  Outcome while_bad = kAway;
  std::size_t backlog = 0;  // of each gateway at the start
  double per_second = 1;    // new messages of each gateway
  Duration end = 480s;
};

// Messages of a gateway are of as many twins as it likes to send at once.
class Fleet {
 public:
  Fleet(const Weather& weather, Return manner) : weather_(weather), asked_(weather.end / 1s + 1) {
    std::mt19937_64 random(7);
    for (std::size_t id = 0; id < weather.gateways; ++id) {
      gateways_.push_back({Endpoint(RetryConfig{}, 64, random(), manner), weather.backlog});
      const double phase = std::uniform_real_distribution<double>(0, 1 / weather.per_second)(random);
      at(t0 + seconds(phase), {.kind = Event::produced, .gateway = id});
      pump(id, t0);
    }
    run();
  }

  std::size_t peak(Duration from) const { return *std::max_element(asked_.begin() + (from / 1s), asked_.end()); }
  std::size_t waiting() const {
    std::size_t sum = 0;
    for (const Gateway& gateway : gateways_) sum += gateway.waiting;
    return sum;
  }

 private:
  struct Gateway {
    Endpoint endpoint;
    std::size_t waiting = 0;
    TimePoint wake_at = kNever;
  };
  struct Event {
    enum Kind { produced, answered, wake } kind;
    std::size_t gateway = 0;
    TimePoint time{};
    Endpoint::Permit permit{};
    Outcome outcome{};
    bool operator<(const Event& other) const { return time > other.time; }
  };

  static Duration seconds(double value) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value));
  }
  void at(TimePoint time, Event event) {
    event.time = time;
    events_.push(std::move(event));
  }
  void run() {
    while (!events_.empty() && events_.top().time < t0 + weather_.end) {
      const Event event = events_.top();
      events_.pop();
      Gateway& gateway = gateways_[event.gateway];
      if (event.kind == Event::produced) {
        ++gateway.waiting;
        at(event.time + seconds(1 / weather_.per_second), {.kind = Event::produced, .gateway = event.gateway});
      } else if (event.kind == Event::answered &&
                 gateway.endpoint.finished(event.permit, event.outcome, 1, event.time) != Endpoint::Blame::message) {
        ++gateway.waiting;
      } else if (event.kind == Event::wake) {
        if (event.time != gateway.wake_at) continue;  // an earlier one was set since
        gateway.wake_at = kNever;
      }
      pump(event.gateway, event.time);
    }
  }
  void pump(std::size_t id, TimePoint now) {
    Gateway& gateway = gateways_[id];
    while (gateway.waiting > 0 && gateway.endpoint.allowance(now) > 0) {
      --gateway.waiting;
      at(now + kAnswerTime,
         {.kind = Event::answered, .gateway = id, .permit = gateway.endpoint.sent(now), .outcome = ask(now)});
    }
    const TimePoint next = gateway.endpoint.next_allowance();
    if (gateway.waiting == 0 || next == kNever || next >= gateway.wake_at) return;
    gateway.wake_at = std::max(next, now);
    at(gateway.wake_at, {.kind = Event::wake, .gateway = id});
  }
  Outcome ask(TimePoint now) {
    const Duration since = now - t0;
    const bool bad = since >= weather_.bad_from && since < weather_.bad_to;
    if (bad && weather_.while_bad.status == 0) return weather_.while_bad;
    const std::size_t count = ++asked_[static_cast<std::size_t>(since / 1s)];
    if (bad) return weather_.while_bad;
    if (count <= weather_.limit) return {.verdict = Verdict::delivered, .status = 204, .code = {}, .text = {}};
    return {.verdict = Verdict::pause_endpoint,
            .failure = FailureClass::throttled,
            .status = 429,
            .code = {},
            .text = {},
            .retry_after = weather_.retry_after};
  }

  const Weather weather_;
  std::vector<Gateway> gateways_;
  std::priority_queue<Event> events_;
  std::vector<std::size_t> asked_;
};

}  // namespace

TEST_CASE("a fleet that was cut off for a minute stays below 1.5 times the cloud's limit, and loses nothing",
          "[forward][endpoint][fleet]") {
  Weather weather;
  SECTION("the cloud was away") {}
  SECTION("with a longer Retry-After") { weather.retry_after = 5s; }
  SECTION("with more messages than gateways") {
    weather.per_second = 3;
    weather.limit = 900;
  }
  SECTION("it said that it is not available, and all of them heard the same Retry-After") {
    weather.while_bad = kUnavailable;
    weather.bad_to = 90s;
  }
  SECTION("for a few seconds only, when every wait is short") { weather.bad_to = 63s; }
  const Fleet fleet(weather, Return::gentle);
  CHECK(fleet.peak(weather.bad_to) < weather.limit * 3 / 2);
  CHECK(fleet.waiting() < kGateways * 2 * static_cast<std::size_t>(weather.per_second));
}

TEST_CASE("the same fleet without jitter and ramp comes back in one wave", "[forward][endpoint][fleet]") {
  Weather weather{.end = 160s};
  SECTION("the cloud was away") {}
  SECTION("it said that it is not available, and all of them heard the same Retry-After") {
    weather.while_bad = kUnavailable;
    weather.bad_to = 90s;
    weather.end = 200s;
  }
  CHECK(Fleet(weather, Return::at_once).peak(weather.bad_to) > weather.limit * 2);
}

TEST_CASE("a gateway alone with the cloud uses most of what that gives it", "[forward][endpoint][fleet]") {
  const Weather weather{.gateways = 1, .limit = 500, .bad_from = 0s, .bad_to = 0s, .backlog = 30'000, .end = 60s};
  const Fleet fleet(weather, Return::gentle);
  CHECK(30'000 + 60 - fleet.waiting() > 60 * 500 * 6 / 10);
}

}  // namespace twinspool::forward
