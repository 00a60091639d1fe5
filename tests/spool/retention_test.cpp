#include "spool/retention.h"

#include "spool/claims.h"
#include "spool/fixture.h"
#include "support/catch.h"

namespace twinspool {
namespace {

using std::chrono::hours;

struct Limited : TestSpool {
  explicit Limited(std::uint64_t messages) {
    config.max_messages = messages;
    config.when_full = WhenFull::drop_oldest;
    open();
  }
  std::string left() {
    return sql("SELECT group_concat(sequence) FROM (SELECT sequence FROM messages ORDER BY sequence)");
  }
  std::string outcomes() {
    return sql("SELECT group_concat(sequence || ' ' || outcome) FROM (SELECT sequence, outcome FROM trace ORDER BY n)");
  }
};

}  // namespace

TEST_CASE("as much goes as is over the limits, and nothing for what could never fit", "[spool][retention]") {
  StoreConfig limits;
  limits.max_messages = 10;
  limits.max_size = 1000;
  CHECK(excess(limits, {5, 500}, {1, 100})->nothing());
  CHECK(excess(limits, {10, 500}, {1, 100})->messages == 1);
  CHECK(excess(limits, {5, 950}, {1, 100})->bytes == 50);
  CHECK_FALSE(excess(limits, {0, 0}, {11, 100}));
  CHECK_FALSE(excess(limits, {0, 0}, {1, 1001}));
  limits.max_messages = limits.max_size = 0;
  CHECK(excess(limits, {1'000'000, 1'000'000}, {1'000'000, 1'000'000})->nothing());
}

TEST_CASE("drops are told when they begin and, counted, when they have ended", "[spool][retention]") {
  DropEpisode episode;
  CHECK(episode.dropped(3, 1000));
  CHECK_FALSE(episode.dropped(4, 30'000));
  CHECK_FALSE(episode.ended(80'000));
  CHECK(episode.ended(90'000) == 7);
  CHECK_FALSE(episode.ended(200'000));
  CHECK(episode.dropped(1, 300'000));
}

TEST_CASE("what is claimed is not dropped, what was dropped is not claimed", "[spool][retention]") {
  Claims claims;
  CHECK(claims.claim(2));
  CHECK(claims.drop(1));
  CHECK_FALSE(claims.drop(2));
  CHECK(claims.drop(3));
  CHECK_FALSE(claims.claim(1));
  CHECK_FALSE(claims.claim(3));
  CHECK(claims.claim(4));
  claims.release(2);  // the attempt failed: it is still queued
  CHECK(claims.claim(2));
  claims.release(2);
  CHECK(claims.drop(2));
  CHECK_FALSE(claims.claim(2));
}

TEST_CASE("a full queue drops its oldest messages in order and takes the new one", "[spool][retention]") {
  Limited store(3);
  for (const char* id : {"a", "b", "c", "d", "e"}) REQUIRE(store.append(telemetry("pump", id)));
  CHECK(store.left() == "3,4,5");
  CHECK(store.outcomes() == "1 dropped,2 dropped");
  CHECK(store.spool->stats().dropped == 2);
  CHECK(store.spool->stats().expired == 0);
  CHECK(store.conserved());
  store.crash();
  CHECK(store.spool->stats().dropped == 2);
  CHECK(store.conserved());
  CHECK(store.append(telemetry("pump", "a"))->duplicate);  // a repetition brings back nothing
}

TEST_CASE("a message in flight is passed over, and goes when its attempt came to nothing", "[spool][retention]") {
  Limited store(2);
  REQUIRE(store.append(telemetry("pump", "a")));
  REQUIRE(store.append(telemetry("pump", "b")));
  REQUIRE(store.spool->claim(1));
  REQUIRE(store.append(telemetry("pump", "c")));
  CHECK(store.left() == "1,3");
  CHECK_FALSE(store.spool->claim(2));
  store.spool->release(1);
  REQUIRE(store.append(telemetry("pump", "d")));
  CHECK(store.left() == "3,4");
  CHECK(store.conserved());
}

TEST_CASE("what is in flight and more than the queue may hold refuses the new one", "[spool][retention]") {
  Limited store(1);
  REQUIRE(store.append(telemetry("pump", "a")));
  REQUIRE(store.spool->claim(1));
  const auto refused = store.append(telemetry("pump", "b"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == Refusal::queue_full);
  store.deliver(1);
  CHECK(store.append(telemetry("pump", "b")));
  CHECK(store.conserved());
}

TEST_CASE("what was delivered already makes room before anything is dropped", "[spool][retention]") {
  Limited store(2);
  REQUIRE(store.append(telemetry("pump", "a")));
  REQUIRE(store.append(telemetry("pump", "b")));
  store.spool->finish({.sequence = 1, .status = 204});
  REQUIRE(store.append(telemetry("pump", "c")));
  CHECK(store.left() == "2,3");
  CHECK(store.spool->stats().dropped == 0);
}

TEST_CASE("a batch larger than the queue is refused and drops nothing", "[spool][retention]") {
  Limited store(2);
  REQUIRE(store.append(telemetry("pump", "a")));
  CHECK_FALSE(store.append_batch({telemetry("pump", "b"), telemetry("pump", "c"), telemetry("pump", "d")}));
  CHECK(store.left() == "1");
}

TEST_CASE("drops of a commit that fails are recorded by the next one", "[spool][retention][faults]") {
  DiskFaults disk;
  Limited store(2);
  REQUIRE(store.append(telemetry("pump", "a")));
  REQUIRE(store.append(telemetry("pump", "b")));
  disk.fill_up(true);
  CHECK_FALSE(store.append(telemetry("pump", "c")));
  CHECK_FALSE(store.spool->claim(1));  // whoever had it in memory may have let go of it
  disk.fill_up(false);
  store.clocks.pass(2000);
  REQUIRE(store.append(telemetry("pump", "c")));
  CHECK(store.left() == "2,3");
  CHECK(store.conserved());
}

TEST_CASE("a message older than max_age is dropped, in order, and counted", "[spool][retention]") {
  TestSpool store;
  store.config.max_age = hours(1);
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  store.clocks.pass(1'800'000);
  REQUIRE(store.append(telemetry("pump", "b")));
  store.clocks.pass(1'800'000);
  store.commit();
  CHECK(store.sql("SELECT group_concat(sequence) FROM messages") == "2");
  CHECK(store.sql("SELECT outcome FROM trace") == "expired");
  CHECK(store.spool->stats().expired == 1);
  CHECK(store.spool->stats().dropped == 1);
  CHECK(store.conserved());
  store.crash();  // how many, and why, is on disk with the rest
  CHECK(store.spool->stats().expired == 1);
  CHECK(store.spool->stats().dropped == 1);
}

TEST_CASE("a clock that jumps expires nothing, time that passed does", "[spool][retention]") {
  TestSpool store;
  store.config.max_age = hours(1);
  store.clocks.synced = false;
  store.clocks.wall_ms = 1000;  // 1970
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  store.clocks.wall_ms = 1'780'000'000'000;
  store.clocks.synced = true;
  store.commit();
  CHECK(store.spool->stats().queued_messages == 1);
  store.clocks.boot = "boot-two";  // nobody knows how long it was off: it counts from the start
  store.clocks.uptime_ms = 5000;
  store.reopen();
  store.commit();
  CHECK(store.spool->stats().queued_messages == 1);
  store.clocks.pass(3'600'000);
  store.commit();
  CHECK(store.spool->stats().queued_messages == 0);
}

}  // namespace twinspool
