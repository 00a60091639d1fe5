// What each source has queued, and what that means for it: through refusals, departures, restarts and kills.
#include "spool/fixture.h"
#include "support/catch.h"

namespace twinspool {
namespace {

constexpr Source kNoisy = 1;
constexpr Source kQuiet = 2;

struct TwoSources : TestSpool {
  TwoSources() {
    sources = {{"/run/noisy.sock", {.messages = 2, .size = 0}}, {"/run/quiet.sock", {}}};
    open();
  }
  std::uint64_t waiting(Source source) { return spool->stats().sources.at(source - 1).messages; }
};

TEST_CASE("a source at its quota is refused and told why, the others are not", "[spool][quota]") {
  TwoSources store;
  REQUIRE(store.append(telemetry("pump", "a"), kNoisy));
  REQUIRE(store.append(telemetry("pump", "b"), kNoisy));
  const auto refused = store.append(telemetry("pump", "c"), kNoisy);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == Refusal::quota);
  CHECK(refused.error().what == "the quota of /run/noisy.sock is 2 messages, and 2 wait for delivery");
  CHECK(refused.error().retry_after > Duration::zero());
  CHECK(store.append(telemetry("pump", "c"), kQuiet));
  CHECK(store.append(telemetry("pump", "d")));
}

TEST_CASE("a duplicate costs nothing, not even at the quota", "[spool][quota]") {
  TwoSources store;
  REQUIRE(store.append(telemetry("pump", "a"), kNoisy));
  REQUIRE(store.append(telemetry("pump", "b"), kNoisy));
  CHECK(store.append(telemetry("pump", "a"), kNoisy)->duplicate);
  CHECK(store.waiting(kNoisy) == 2);
}

TEST_CASE("what is delivered or set aside makes room in the quota", "[spool][quota]") {
  TwoSources store;
  REQUIRE(store.append(telemetry("pump", "a"), kNoisy));
  REQUIRE(store.append(telemetry("pump", "b"), kNoisy));
  store.deliver(1);
  CHECK(store.append(telemetry("pump", "c"), kNoisy));
  store.quarantine(2);
  CHECK(store.append(telemetry("pump", "d"), kNoisy));
  CHECK_FALSE(store.append(telemetry("pump", "e"), kNoisy));
}

TEST_CASE("a quota counts bytes too, and a batch counts whole", "[spool][quota]") {
  TwoSources store;
  store.sources[0].quota = {.messages = 0, .size = 2 * weight(telemetry("pump", "a"))};
  store.reopen();
  REQUIRE(store.append(telemetry("pump", "a"), kNoisy));
  const auto batch = store.append_batch({telemetry("pump", "b"), telemetry("pump", "c")}, kNoisy);
  REQUIRE_FALSE(batch);
  CHECK(batch.error().why == Refusal::quota);
  CHECK(store.waiting(kNoisy) == 1);
  CHECK(store.append_batch({telemetry("pump", "a"), telemetry("pump", "b")}, kNoisy));
}

TEST_CASE("what alone is more than the quota is refused for ever", "[spool][quota]") {
  TwoSources store;
  const auto batch =
      store.append_batch({telemetry("pump", "a"), telemetry("pump", "b"), telemetry("pump", "c")}, kNoisy);
  REQUIRE_FALSE(batch);
  CHECK(batch.error().retry_after == Duration::zero());
  CHECK(batch.error().what == "the quota of /run/noisy.sock is 2 messages, and this alone has 3: send less at once");
}

TEST_CASE("the accounting survives restarts and kills, whatever the order of the sockets is", "[spool][quota]") {
  TwoSources store;
  REQUIRE(store.append(telemetry("pump", "a"), kNoisy));
  REQUIRE(store.append(telemetry("pump", "b"), kQuiet));
  REQUIRE(store.append(telemetry("pump", "c"), kNoisy));
  store.reopen();
  CHECK_FALSE(store.append(telemetry("pump", "d"), kNoisy));
  store.crash();
  CHECK_FALSE(store.append(telemetry("pump", "d"), kNoisy));
  CHECK(store.waiting(kQuiet) == 1);
  std::swap(store.sources[0], store.sources[1]);
  store.reopen();
  CHECK(store.spool->stats().sources[1].messages == 2);
  store.deliver(1);
  CHECK(store.spool->stats().sources[1].messages == 1);
  CHECK(store.append(telemetry("pump", "d"), 2));
}

TEST_CASE("a refused commit leaves the accounting as it was", "[spool][quota][faults]") {
  DiskFaults disk;
  TwoSources store;
  REQUIRE(store.append(telemetry("pump", "a"), kNoisy));
  disk.fill_up(true);
  CHECK_FALSE(store.append(telemetry("pump", "b"), kNoisy));
  CHECK(store.waiting(kNoisy) == 1);
}

TEST_CASE("operators see what waits of each socket, and which socket a message came by", "[spool][quota]") {
  TwoSources store;
  REQUIRE(store.append(telemetry("pump", "a"), kNoisy));
  REQUIRE(store.append(telemetry("pump", "b"), kNoisy));
  REQUIRE(store.append(telemetry("pump", "c")));
  CHECK(store.sql("SELECT group_concat(socket || '|' || messages || '|' || (bytes > 0), ';') FROM sources") ==
        "/run/noisy.sock|2|1;/run/quiet.sock|0|0");
  CHECK(store.sql("SELECT group_concat(socket, ';') FROM queue") == "/run/noisy.sock;/run/noisy.sock;");
  store.quarantine(1);
  CHECK(store.sql("SELECT socket FROM quarantine") == "/run/noisy.sock");
  CHECK(store.sql("SELECT messages FROM sources LIMIT 1") == "1");
}

TEST_CASE("figures of sources that do not add up are counted again at the start", "[spool][quota]") {
  for (const char* damage : {"[]", "[[1,7,7]]", "no JSON"}) {
    TwoSources store;
    REQUIRE(store.append(telemetry("pump", "a"), kNoisy));
    REQUIRE(store.append(telemetry("pump", "b"), kQuiet));
    const std::uint64_t bytes = store.spool->stats().queued_bytes;
    store.close();
    store.write_sql(std::string("UPDATE figures SET sources = '") + damage + "'");
    store.open();
    CHECK(store.waiting(kNoisy) == 1);
    CHECK(store.waiting(kQuiet) == 1);
    CHECK(store.spool->stats().queued_bytes == bytes);
  }
}

}  // namespace
}  // namespace twinspool
