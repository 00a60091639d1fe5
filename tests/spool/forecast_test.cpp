#include "spool/forecast.h"

#include "support/catch.h"

namespace twinspool {
namespace {

const TimePoint kStart = TimePoint(1h);

// A queue whose senders and whose cloud move at steady rates, watched every kForecastEvery.
struct Watched {
  Forecast forecast;
  SpoolStats spool;
  StoreConfig limits{.max_size = 0, .min_free = 0};
  TimePoint now = kStart;

  Watched() { spool.disk_free_bytes = 10 * kGiB; }
  void queue(std::uint64_t messages, std::uint64_t bytes_each) {
    spool.accepted = messages;
    spool.queued_messages = messages;
    spool.queued_bytes = messages * bytes_each;
  }
  void pass(Duration time, std::uint64_t in_per_second, std::uint64_t out_per_second) {
    for (Duration passed{0}; passed < time; passed += kForecastEvery) {
      forecast.add(now, spool);
      now += kForecastEvery;
      const std::uint64_t mean = spool.queued_messages > 0 ? spool.queued_bytes / spool.queued_messages : 400;
      spool.accepted += 5 * in_per_second;
      spool.delivered += 5 * out_per_second;
      spool.queued_messages += 5 * in_per_second - 5 * out_per_second;
      spool.queued_bytes = spool.queued_messages * mean;
    }
  }
  Outlook outlook() const { return forecast.outlook(now, spool, limits); }
};

double in_seconds(std::optional<Duration> duration) {
  REQUIRE(duration.has_value());
  return std::chrono::duration<double>(*duration).count();
}

}  // namespace

TEST_CASE("a queue that shrinks says when it is empty, at what goes out less what comes in", "[spool][forecast]") {
  Watched watched;
  watched.queue(100'000, 400);
  watched.pass(1min, 10, 110);
  CHECK(watched.outlook().arrivals_per_second == 10);
  CHECK(watched.outlook().departures_per_second == 110);
  CHECK(in_seconds(watched.outlook().drain_eta) == Approx(94'000 / 100.0));
  CHECK_FALSE(watched.outlook().time_to_full.has_value());
}

TEST_CASE("a queue that grows says when its first limit is reached: bytes, messages or the disk", "[spool][forecast]") {
  Watched watched;
  watched.queue(1'000, 400);
  watched.limits.max_size = 4'000'000;
  watched.pass(1min, 10, 0);
  CHECK(watched.spool.queued_messages == 1'600);
  CHECK(in_seconds(watched.outlook().time_to_full) == Approx((10'000 - 1'600) / 10.0));
  CHECK_FALSE(watched.outlook().drain_eta.has_value());
  watched.limits.max_messages = 2'000;
  CHECK(in_seconds(watched.outlook().time_to_full) == Approx(40));
  watched.limits.min_free = kMiB;
  watched.spool.disk_free_bytes = kMiB + 400 * 100;
  CHECK(in_seconds(watched.outlook().time_to_full) == Approx(10));
}

TEST_CASE("an empty queue is drained and a closed one is full, whatever the rates", "[spool][forecast]") {
  Watched watched;
  CHECK(in_seconds(watched.outlook().drain_eta) == 0);
  CHECK_FALSE(watched.outlook().time_to_full.has_value());
  watched.queue(10, 400);
  watched.spool.ingest_closed_by_space = true;
  CHECK(in_seconds(watched.outlook().time_to_full) == 0);
}

TEST_CASE("nothing is foretold before there is something to judge by", "[spool][forecast]") {
  Watched watched;
  watched.queue(10, 400);
  watched.limits.max_messages = 100;
  CHECK_FALSE(watched.outlook().drain_eta.has_value());
  CHECK_FALSE(watched.outlook().time_to_full.has_value());
  watched.forecast.add(watched.now, watched.spool);
  watched.now += 1s;
  watched.spool.accepted += 10;
  CHECK_FALSE(watched.outlook().arrivals_per_second.has_value());
}

TEST_CASE("an outage shows within half a minute, a burst of senders is spread over five", "[spool][forecast]") {
  Watched watched;
  watched.queue(100'000, 400);
  watched.pass(10min, 0, 100);
  watched.pass(30s, 0, 0);
  CHECK(watched.outlook().departures_per_second == 0);
  CHECK_FALSE(watched.outlook().drain_eta.has_value());
  watched.pass(5s, 600, 0);
  CHECK(*watched.outlook().arrivals_per_second == Approx(10).epsilon(0.1));
  watched.pass(1h, 0, 0);
  CHECK(watched.outlook().arrivals_per_second == 0);
}

TEST_CASE("counts that fell, as after a salvage, begin a new watch", "[spool][forecast]") {
  Watched watched;
  watched.queue(100'000, 400);
  watched.pass(1min, 0, 100);
  watched.spool.accepted = 5;
  CHECK_FALSE(watched.outlook().arrivals_per_second.has_value());
  watched.pass(10s, 1, 1);
  CHECK(watched.outlook().arrivals_per_second == 1);
}

}  // namespace twinspool
