#include "spool/recall.h"

#include "spool/fixture.h"
#include "spool/kept.h"
#include "support/catch.h"

namespace twinspool {
namespace {

using namespace std::chrono_literals;
using What = Recall::What;

const Telemetry kWhole{.twin = "p%2Fump",
                       .component = "motor",
                       .message_id = "id-1",
                       .source_time = "Sunday",
                       .traceparent = "00-ab-cd-01",
                       .tracestate = "a=b",
                       .body = "{ \"x\" : 1.0e0 }\n"};

class KeepingSpool : public TestSpool {
 public:
  KeepingSpool() { config.keep_delivered = 1h; }
};

TEST_CASE("a replayed message goes to the tail, byte for byte, and says what it is a replay of", "[spool][recall]") {
  KeepingSpool store;
  store.open();
  store.append(kWhole);
  store.append(telemetry("valve", "b"));
  store.deliver(1);
  store.committed.clear();

  const Recalled recalled = store.recall({.twin = "p%2Fump"});
  CHECK(recalled.messages == 1);
  CHECK(recalled.stopped.empty());
  REQUIRE(store.committed.size() == 1);
  CHECK(store.committed[0].sequence == 3);
  CHECK(store.committed[0].telemetry == kWhole);
  const Result<ReadResult> queued = store.read();
  REQUIRE(queued->messages.size() == 2);
  CHECK(queued->messages[1].sequence == 3);
  CHECK(queued->messages[1].telemetry == kWhole);
  CHECK(store.sql("SELECT replay_of FROM queue WHERE sequence = 3") == "1");
  CHECK(store.spool->stats().replayed == 1);
  CHECK(store.spool->stats().accepted == 3);
  CHECK(store.conserved());

  store.deliver(3);
  CHECK(store.sql("SELECT group_concat(sequence || '/' || replay_of) FROM delivered") == "1/0,3/1");
  CHECK(store.sql("SELECT group_concat(sequence) FROM kept") == "1");  // a replay is not kept a second time
  CHECK(store.conserved());
}

TEST_CASE("a replay is durable when it is answered", "[spool][recall]") {
  KeepingSpool store;
  store.open();
  store.append(kWhole);
  store.deliver(1);
  store.recall({});
  store.crash();
  REQUIRE(store.read()->messages.size() == 1);
  CHECK(store.read()->messages[0].telemetry == kWhole);
  CHECK(store.spool->stats().replayed == 1);
  CHECK(store.conserved());
}

TEST_CASE("a replay takes the time of delivery, from its begin to before its end", "[spool][recall]") {
  KeepingSpool store;
  store.open();
  const std::int64_t start = store.clocks.wall_ms;
  for (int n = 1; n <= 4; ++n) {
    store.append(telemetry("pump", "id-" + std::to_string(n)));
    store.deliver(static_cast<Sequence>(n));
    store.clocks.pass(1000);
  }
  CHECK(store.recall({.since_ms = start + 1000, .until_ms = start + 3000}).messages == 2);
  CHECK(store.sql("SELECT group_concat(replay_of) FROM queue") == "2,3");
  CHECK(store.recall({.twin = "nobody"}).messages == 0);
}

TEST_CASE("the deduplication window does not see a replay, not even after a restart", "[spool][recall]") {
  KeepingSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.deliver(1);
  store.recall({});
  CHECK(store.append(telemetry("pump", "a"))->sequence == 1);
  store.clocks.pass(601'000);  // the window forgets the first one
  store.recall({});
  store.reopen();
  const auto again = store.append(telemetry("pump", "a"));
  REQUIRE(again);
  CHECK_FALSE(again->duplicate);
  CHECK(store.conserved());
}

TEST_CASE("a replay larger than a slice is several commits, between which others are stored", "[spool][recall]") {
  KeepingSpool store;
  store.open();
  const std::size_t count = 2 * kSliceMessagesMax + 10;
  std::vector<Telemetry> batch;
  for (std::size_t n = 0; n < count; ++n) batch.push_back(telemetry("pump", "id-" + std::to_string(n)));
  REQUIRE(store.append_batch(batch));
  for (Sequence n = 1; n <= count; ++n)
    store.spool->finish({.sequence = n, .how = Finished::How::delivered, .status = 204});
  store.commit();
  REQUIRE(store.spool->stats().queued_messages == 0);

  bool ended = false;
  Recalled recalled;
  store.spool->recall({}, [&](Result<Recalled> result) {
    ended = true;
    recalled = *result;
  });
  store.commit();
  CHECK_FALSE(ended);
  CHECK(store.spool->stats().queued_messages == kSliceMessagesMax);
  CHECK(store.append(telemetry("valve", "fresh"))->sequence == count + kSliceMessagesMax + 1);
  while (!ended) REQUIRE(store.commit());
  CHECK(recalled.messages == count);
  CHECK(store.sql("SELECT count(*) FROM queue WHERE replay_of > 0") == std::to_string(count));
  CHECK(store.sql("SELECT count(*) FROM (SELECT replay_of, lag(replay_of) OVER (ORDER BY sequence) AS before "
                  "FROM queue WHERE replay_of > 0) WHERE replay_of <= before") == "0");
  CHECK(store.conserved());
}

TEST_CASE("a replay ends where the queue is full, and says where to go on", "[spool][recall]") {
  KeepingSpool store;
  store.config.max_messages = 3;
  store.open();
  const std::int64_t start = store.clocks.wall_ms;
  for (int n = 1; n <= 5; ++n) {
    store.append(telemetry("pump", "id-" + std::to_string(n)));
    store.deliver(static_cast<Sequence>(n));
    store.clocks.pass(1000);
  }
  const Recalled recalled = store.recall({});
  CHECK(recalled.messages == 3);
  CHECK(recalled.stopped.find("store.max_messages") != std::string::npos);
  CHECK(recalled.stopped_at_ms == start + 3000);
  CHECK(store.spool->stats().queued_messages == 3);
  CHECK(store.conserved());
}

TEST_CASE("a damaged kept message is never sent again", "[spool][recall]") {
  KeepingSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.append(telemetry("pump", "b"));
  store.deliver(1);
  store.deliver(2);
  store.write_sql("UPDATE kept_messages SET body = '{\"t\":2}' WHERE sequence = 1");
  const Recalled recalled = store.recall({});
  CHECK(recalled.messages == 1);
  CHECK(recalled.damaged == 1);
  CHECK(store.sql("SELECT group_concat(message_id) FROM queue") == "b");
}

TEST_CASE("what is kept goes when its time has really passed, not when the clock jumps", "[spool][recall]") {
  KeepingSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.append(telemetry("pump", "b"));
  store.append(telemetry("pump", "c"));
  store.deliver(1);
  store.clocks.wall_ms += 1'000'000'000;
  store.deliver(2);
  CHECK(store.sql("SELECT group_concat(sequence) FROM kept") == "1,2");
  store.clocks.pass(3'600'001);
  store.deliver(3);
  CHECK(store.sql("SELECT group_concat(sequence) FROM kept") == "3");
  CHECK(store.spool->stats().kept_messages == 1);
  CHECK(std::to_string(store.spool->stats().kept_bytes) == store.sql("SELECT sum(bytes) FROM kept"));
}

TEST_CASE("what is kept takes at most its share of store.max_size, and the oldest goes first", "[spool][recall]") {
  KeepingSpool store;
  store.config.max_size = 64 * kKiB;
  store.open();
  const std::string body = "{\"t\":\"" + std::string(2000, 'x') + "\"}";
  for (int n = 1; n <= 20; ++n) {
    store.append(telemetry("pump", "id-" + std::to_string(n), body));
    store.deliver(static_cast<Sequence>(n));
  }
  const SpoolStats& stats = store.spool->stats();
  CHECK(stats.kept_bytes <= kept_bytes_max(store.config, false));
  CHECK(stats.kept_messages > 0);
  CHECK(std::to_string(stats.kept_bytes) == store.sql("SELECT sum(bytes) FROM kept"));
  CHECK(store.sql("SELECT max(sequence) FROM kept") == "20");
}

TEST_CASE("what is kept gives way to a disk below store.min_free", "[spool][recall]") {
  KeepingSpool store;
  store.open();
  for (int n = 1; n <= 3; ++n) {
    store.append(telemetry("pump", "id-" + std::to_string(n)));
    store.deliver(static_cast<Sequence>(n));
  }
  store.config.min_free = std::uint64_t{1} << 60;
  store.spool->reconfigure(store.config);
  CHECK_FALSE(store.append(telemetry("pump", "refused")));
  while (store.commit()) {
  }
  CHECK(store.sql("SELECT count(*) FROM kept") == "0");
  CHECK(store.sql("SELECT kept_messages + kept_bytes FROM summary") == "0");
}

TEST_CASE("without store.keep_delivered nothing is kept and there is nothing to replay", "[spool][recall]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.deliver(1);
  CHECK(store.sql("SELECT count(*) FROM kept") == "0");
  CHECK(store.recall({}).messages == 0);
}

TEST_CASE("a quarantined message that is retried leaves the quarantine for the tail of the queue", "[spool][recall]") {
  TestSpool store;
  store.open();
  store.append(kWhole);
  store.append(telemetry("valve", "b"));
  store.append(telemetry("valve", "c"));
  for (const Sequence n : {1, 2, 3}) store.quarantine(n);
  store.committed.clear();
  const Recalled recalled = store.recall({.what = What::retry, .sequences = {1, 99, 1}});
  CHECK(recalled.messages == 1);
  CHECK(recalled.unknown == 1);
  REQUIRE(store.committed.size() == 1);
  CHECK(store.committed[0].telemetry == kWhole);
  CHECK(store.sql("SELECT sequence || '/' || retry_of || '/' || replay_of FROM queue") == "4/1/0");
  CHECK(store.sql("SELECT group_concat(sequence) FROM quarantine") == "2,3");
  CHECK(store.spool->stats().quarantine_messages == 2);
  CHECK(store.spool->stats().quarantined == 3);
  CHECK(store.spool->stats().retried == 1);
  CHECK(store.conserved());
  CHECK(store.recall({.what = What::retry}).messages == 2);
  CHECK(store.spool->stats().quarantine_messages == 0);
  CHECK(store.conserved());
  store.reopen();
  CHECK(store.conserved());
  CHECK(store.spool->stats().retried == 3);
}

TEST_CASE("a purged message is gone, and still counted as quarantined", "[spool][recall]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.append(telemetry("pump", "b"));
  store.quarantine(1);
  store.quarantine(2);
  CHECK(store.recall({.what = What::purge, .sequences = {2}}).messages == 1);
  CHECK(store.sql("SELECT group_concat(sequence) FROM quarantine") == "1");
  CHECK(store.spool->stats().quarantined == 2);
  CHECK(store.spool->stats().quarantine_messages == 1);
  CHECK(store.conserved());
}

TEST_CASE("a recall under which the disk fills up does nothing of that slice, and says so", "[spool][recall]") {
  DiskFaults disk;
  KeepingSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.deliver(1);
  disk.fill_up(true);
  const Recalled recalled = store.recall({});
  CHECK(recalled.messages == 0);
  CHECK_FALSE(recalled.stopped.empty());
  disk.fill_up(false);
  CHECK(store.sql("SELECT count(*) FROM queue") == "0");
  CHECK(store.conserved());
}

TEST_CASE("the window knows the sequence of what was accepted lately", "[spool][recall]") {
  TestSpool store;
  store.open();
  store.append(kWhole);
  Sequence found = 99;
  store.spool->find_recent(kWhole, [&](Sequence sequence) { found = sequence; });
  store.commit();
  CHECK(found == 1);
  store.spool->find_recent(telemetry("pump", "other"), [&](Sequence sequence) { found = sequence; });
  store.commit();
  CHECK(found == 0);
}

}  // namespace
}  // namespace twinspool
