#include "spool/spool.h"

#include <algorithm>
#include <random>
#include <set>

#include "spool/figures.h"
#include "spool/fixture.h"
#include "support/catch.h"

namespace twinspool {
namespace {

std::vector<Sequence> sequences(const std::vector<Message>& messages) {
  std::vector<Sequence> all;
  for (const Message& message : messages) all.push_back(message.sequence);
  return all;
}

using Sequences = std::vector<Sequence>;

TEST_CASE("what was acknowledged is there after a kill, byte for byte and in order", "[spool]") {
  TestSpool store;
  store.open();
  const Telemetry whole{.twin = "p%2Fump",
                        .component = "motor",
                        .message_id = "id-1",
                        .source_time = "Sunday",
                        .traceparent = "00-ab-cd-01",
                        .tracestate = "a=b",
                        .body = "{ \"x\" : 1.0e0 }\n"};
  REQUIRE(store.append(whole)->sequence == 1);
  REQUIRE(store.append(telemetry("valve", "b"))->sequence == 2);
  store.crash();
  const Result<ReadResult> result = store.read();
  REQUIRE(sequences(result->messages) == Sequences{1, 2});
  CHECK(result->messages[0].telemetry == whole);
  CHECK(result->messages[0].accepted_ms == store.clocks.wall_ms);
  CHECK(result->messages[0].twin != result->messages[1].twin);
  CHECK(result->reached_end);
  CHECK(store.append(telemetry("valve", "c"))->sequence == 3);
}

TEST_CASE("nothing is answered before its commit", "[spool]") {
  TestSpool store;
  store.open();
  bool answered = false;
  store.spool->append(telemetry("pump", "a"), [&](const auto&) { answered = true; });
  store.settle();
  CHECK_FALSE(answered);
  CHECK(store.sql("SELECT count(*) FROM queue") == "0");
  CHECK(store.commit());
  CHECK(answered);
  CHECK(store.sql("SELECT count(*) FROM queue") == "1");
  CHECK_FALSE(store.commit());
}

TEST_CASE("one commit answers in call order and then passes its messages on, without duplicates", "[spool]") {
  TestSpool store;
  store.open();
  std::vector<std::string> heard;
  store.spool->on_committed([&](std::vector<Message>&& messages) {
    for (const Message& message : messages)
      heard.push_back("committed " + std::to_string(message.sequence) + message.telemetry.message_id);
  });
  for (const char* id : {"a", "b", "a"})
    store.spool->append(telemetry("pump", id), [&, id](const auto& answer) {
      heard.push_back(std::string(id) + std::to_string(answer->sequence) + (answer->duplicate ? "!" : ""));
    });
  store.commit();
  CHECK(heard == std::vector<std::string>{"a1", "b2", "a1!", "committed 1a", "committed 2b"});
  CHECK(store.spool->stats().commits == 1);
}

TEST_CASE("a repeated Message-Id is stored once, wherever the first one is", "[spool][dedup]") {
  TestSpool store;
  store.open();
  const std::string where = GENERATE("queued", "delivered", "quarantined");
  const bool restart = GENERATE(false, true);
  REQUIRE(store.append(telemetry("pump", "a")));
  if (where == "delivered") store.deliver(1);
  if (where == "quarantined") store.quarantine(1);
  if (restart) store.crash();

  Telemetry again = telemetry("pump", "a");
  again.source_time = "later";  // SDK retries may differ in it
  const auto answer = store.append(again);
  REQUIRE(answer);
  CHECK(answer->duplicate);
  CHECK(answer->sequence == 1);
  const auto reused = store.append(telemetry("pump", "a", "{\"t\":2}"));
  REQUIRE_FALSE(reused);
  CHECK(reused.error().why == Refusal::message_id_reused);
  CHECK(reused.error().retry_after == Duration{});
  CHECK(store.spool->stats().accepted == 1);
  CHECK(store.spool->stats().duplicates == 1);
  CHECK(store.conserved());

  Telemetry elsewhere = telemetry("pump", "a");
  elsewhere.component = "motor";
  CHECK_FALSE(store.append(elsewhere)->duplicate);
  CHECK_FALSE(store.append(telemetry("valve", "a"))->duplicate);
}

TEST_CASE("the window ends by time that really passed", "[spool][dedup]") {
  TestSpool store;
  store.config.dedup_window = std::chrono::minutes(10);
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  store.clocks.wall_ms += 50LL * 365 * 86'400'000;  // first NTP answer
  CHECK(store.append(telemetry("pump", "a"))->duplicate);
  store.clocks.pass(599'999);
  if (GENERATE(false, true)) store.reopen();
  CHECK(store.append(telemetry("pump", "a"))->duplicate);
  store.clocks.pass(1);
  CHECK_FALSE(store.append(telemetry("pump", "a"))->duplicate);
}

TEST_CASE("across a reboot the wall clock decides, if it was right both times", "[spool][dedup]") {
  TestSpool store;
  const bool synced = GENERATE(true, false);
  store.clocks.synced = synced;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  store.close();
  store.clocks.boot = "boot-two";
  store.clocks.uptime_ms = 5000;
  store.clocks.wall_ms += 3'600'000;
  store.open();
  CHECK(store.append(telemetry("pump", "a"))->duplicate == !synced);
}

TEST_CASE("without a window every append is stored", "[spool][dedup]") {
  TestSpool store;
  store.config.dedup_window = Duration{};
  store.open();
  CHECK_FALSE(store.append(telemetry("pump", "a"))->duplicate);
  CHECK_FALSE(store.append(telemetry("pump", "a"))->duplicate);
  CHECK(store.spool->stats().accepted == 2);
}

TEST_CASE("a batch is stored whole or not at all", "[spool]") {
  TestSpool store;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  const auto mixed = store.append_batch({telemetry("pump", "b"), telemetry("pump", "a"), telemetry("pump", "b")});
  REQUIRE(mixed);
  CHECK((*mixed)[0].sequence == 2);
  CHECK((*mixed)[1].sequence == 1);
  CHECK((*mixed)[2].duplicate);
  CHECK((*mixed)[2].sequence == 2);

  const auto refused = store.append_batch({telemetry("pump", "c"), telemetry("pump", "a", "{\"t\":2}")});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == Refusal::message_id_reused);
  const auto within = store.append_batch({telemetry("pump", "d"), telemetry("pump", "d", "{\"t\":2}")});
  REQUIRE_FALSE(within);
  CHECK(store.spool->stats().accepted == 2);
  CHECK_FALSE(store.append(telemetry("pump", "c"))->duplicate);  // the refused batch left no trace
  CHECK(store.append(telemetry("pump", "e"))->sequence == 4);
}

TEST_CASE("a refused append does not touch the others of its commit", "[spool]") {
  TestSpool store;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  std::vector<bool> stored;
  for (const Telemetry& one : {telemetry("pump", "b"), telemetry("pump", "a", "{}"), telemetry("pump", "c")})
    store.spool->append(one, [&](const auto& answer) { stored.push_back(answer.has_value()); });
  store.commit();
  CHECK(stored == std::vector<bool>{true, false, true});
  CHECK(sequences(store.read()->messages) == Sequences{1, 2, 3});
}

TEST_CASE("read goes forward by number, through its bounds and for the wanted twins only", "[spool]") {
  TestSpool store;
  store.open();
  for (int i = 0; i < 12; ++i) store.append(telemetry(i % 3 == 0 ? "pump" : "valve", std::to_string(i)));
  const TwinNumber pump = store.committed[0].twin;

  const auto some = store.read({.after = 2, .through = 5});
  CHECK(sequences(some->messages) == Sequences{3, 4, 5});
  CHECK(some->scanned_through == 5);
  CHECK(some->reached_end);

  const auto only = store.read({.only = {pump}});
  CHECK(sequences(only->messages) == Sequences{1, 4, 7, 10});
  CHECK(only->scanned_through == 12);

  const auto few = store.read({.messages_max = 2, .only = {pump}});
  CHECK(sequences(few->messages) == Sequences{1, 4});
  CHECK(few->scanned_through == 4);
  CHECK_FALSE(few->reached_end);

  const auto scanned = store.read({.rows_scanned_max = 5, .only = {pump}});
  CHECK(sequences(scanned->messages) == Sequences{1, 4});
  CHECK(scanned->scanned_through == 5);

  const auto light = store.read({.bytes_max = 1});
  CHECK(light->messages.size() == 1);
}

TEST_CASE("a finished message is not read again, recorded or not", "[spool]") {
  TestSpool store;
  store.open();
  for (const char* id : {"a", "b", "c"}) store.append(telemetry("pump", id));
  store.spool->finish({.sequence = 2, .status = 204});
  CHECK(store.spool->stats().unrecorded == 1);
  std::optional<Sequences> seen;
  store.spool->read({}, [&](const Result<ReadResult>& result) { seen = sequences(result->messages); });
  int fell = 0;
  store.spool->on_unrecorded_fell([&] { ++fell; });
  store.commit();
  CHECK(seen == Sequences{1, 3});
  CHECK(fell == 1);
  CHECK(store.spool->stats().unrecorded == 0);
  CHECK(store.spool->stats().delivered == 1);
  store.crash();
  CHECK(sequences(store.read()->messages) == Sequences{1, 3});
  store.deliver(2);  // a second time
  CHECK(store.spool->stats().delivered == 1);
  CHECK(store.conserved());
}

TEST_CASE("a row that changed on disk is set aside and never returned", "[spool]") {
  TestSpool store;
  store.open();
  for (const char* id : {"a", "b", "c"}) store.append(telemetry("pump", id));
  const std::string damage = GENERATE(
      as<std::string>{}, "UPDATE messages SET body = '{\"t\":9}' WHERE sequence = 2",
      "UPDATE messages SET source_time = 'x' WHERE sequence = 2", "UPDATE messages SET twin = 77 WHERE sequence = 2",
      "UPDATE messages SET component = 5 WHERE sequence = 2", "UPDATE messages SET message_id = 'c' WHERE sequence = 2",
      "UPDATE messages SET sequence = 9 WHERE sequence = 2", "UPDATE messages SET checksum = 1 WHERE sequence = 2");
  store.write_sql(damage);
  CHECK(sequences(store.read()->messages) == Sequences{1, 3});
  store.commit();
  CHECK(store.spool->stats().rows_corrupt == 1);
  CHECK(store.spool->stats().quarantined == 1);
  CHECK(store.conserved());
  CHECK(store.sql("SELECT reason||'|'||status||'|'||error_code FROM quarantine") == "checksum|0|ChecksumMismatch");
  CHECK(store.sql("SELECT count(*) FROM queue") == "2");
}

TEST_CASE("a changed twin name damages every row of the twin", "[spool]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.append(telemetry("valve", "b"));
  store.close();
  store.write_sql("UPDATE twins SET name = 'pumq' WHERE name = 'pump'");
  store.open();
  CHECK(sequences(store.read()->messages) == Sequences{2});
}

TEST_CASE("a full queue refuses what is new and takes it again when drained", "[spool][space]") {
  TestSpool store;
  store.config.max_messages = 2;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  REQUIRE(store.append(telemetry("pump", "b")));
  const auto refused = store.append(telemetry("pump", "c"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == Refusal::queue_full);
  CHECK(refused.error().retry_after > Duration{});
  CHECK(store.append(telemetry("pump", "a"))->duplicate);  // it is stored, so it may be said so
  CHECK(store.spool->stats().ingest_closed_by_space);
  store.deliver(1);
  CHECK_FALSE(store.spool->stats().ingest_closed_by_space);  // known before anyone asks to append
  CHECK(store.append(telemetry("pump", "c"))->sequence == 3);

  StoreConfig lower = store.config;
  lower.max_messages = 1;
  store.spool->reconfigure(lower);
  CHECK_FALSE(store.append(telemetry("pump", "d")));
  CHECK(store.spool->stats().queued_messages == 2);  // a lower limit deletes nothing
}

TEST_CASE("the free space that min_free keeps is not eaten", "[spool][space]") {
  TestSpool store;
  store.config.min_free = std::uint64_t{1} << 60;
  store.open();
  const auto refused = store.append(telemetry("pump", "a"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == Refusal::disk_full);
  CHECK(refused.error().what.find("store.min_free") != std::string::npos);
}

TEST_CASE("a full disk refuses appends, keeps what was finished, and opens again by itself", "[spool][faults]") {
  DiskFaults disk;
  TestSpool store;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  disk.fill_up(true);
  const auto refused = store.append(telemetry("pump", "b"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == Refusal::disk_full);
  CHECK(store.spool->stats().fault.empty());
  store.deliver(1);
  CHECK(store.spool->stats().unrecorded == 1);
  disk.fill_up(false);
  store.commit();
  CHECK(store.spool->stats().unrecorded == 0);
  store.clocks.pass(1000);
  CHECK(store.append(telemetry("pump", "b"))->sequence == 2);  // the refused one left no duplicate behind
  CHECK(store.conserved());
}

TEST_CASE("a disk without a free block does not stop the drain", "[spool][faults]") {
  DiskFaults disk;
  TestSpool store;
  store.open();
  constexpr Sequence kMessages = 3000;
  const bool checkpointed = GENERATE(false, true);  // with the rows in the WAL only, a checkpoint needs room itself
  for (Sequence i = 1; i <= kMessages; ++i)
    store.spool->append(telemetry("pump", std::to_string(i), "{\"t\":\"" + std::string(200, 'x') + "\"}"),
                        [](const auto& answer) { REQUIRE(answer); });
  store.commit();
  if (checkpointed) store.reopen();
  disk.no_room(true);
  CHECK(store.append(telemetry("pump", "no", std::string(8'000'000, ' ') + "{}")).error().why == Refusal::disk_full);
  for (Sequence sent = 0; sent < kMessages;) {
    for (int i = 0; i < 250 && sent < kMessages; ++i) store.spool->finish({.sequence = ++sent, .status = 204});
    for (int tries = 0; tries < 10 && store.spool->stats().unrecorded > 0; ++tries) store.commit();
    REQUIRE(store.spool->stats().unrecorded == 0);
  }
  CHECK(store.spool->stats().delivered == kMessages);
  CHECK(store.spool->stats().queued_messages == 0);
  CHECK(store.spool->stats().fault.empty());
  CHECK(store.conserved());
  store.crash();
  CHECK(store.read()->messages.empty());
}

TEST_CASE("after a failed sync nothing is acknowledged, written or checkpointed any more", "[spool][faults]") {
  DiskFaults disk;
  TestSpool store;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  disk.fail_syncs(true);
  const auto refused = store.append(telemetry("pump", "b"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == Refusal::storage);
  CHECK(refused.error().retry_after == std::chrono::seconds(30));
  disk.fail_syncs(false);  // a retried sync would "succeed"
  const std::size_t writes = disk.writes();
  const auto later = store.append(telemetry("pump", "c"));
  REQUIRE_FALSE(later);
  CHECK(later.error().why == Refusal::storage);
  CHECK(store.spool->stats().fault.find("tried again by itself") != std::string::npos);
  CHECK(sequences(store.read()->messages) == Sequences{1});  // what is there is still delivered
  store.deliver(1);
  CHECK(store.read()->messages.empty());
  store.close();
  CHECK(disk.writes() == writes);
  CHECK(store.dir.read("queue.db.run").find("io_error 1") != std::string::npos);

  store.open();
  CHECK(store.spool->stats().fault.empty());
  CHECK(sequences(store.read()->messages).front() ==
        1);  // its delivery was never recorded: sent again, same Message-Id
  CHECK(store.append(telemetry("pump", "a"))->duplicate);
}

TEST_CASE("lane notes survive and end", "[spool]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  const TwinNumber pump = store.committed[0].twin;
  store.spool->note_lane(
      {.twin = pump, .state = "retrying", .since_ms = 1, .retry_at_ms = 2, .status = 500, .error_code = "x"});
  store.spool->note_lane(
      {.twin = pump, .state = "held", .since_ms = 3, .retry_at_ms = 4, .status = 404, .error_code = "y"});
  CHECK(store.spool->lane_notes().at(pump).state == "held");  // for whoever delivers next in this process
  store.commit();
  store.crash();
  REQUIRE(store.spool->lane_notes().size() == 1);
  const LaneNote note = store.spool->lane_notes().at(pump);
  CHECK(note.state == "held");
  CHECK(note.retry_at_ms == 4);
  CHECK(note.error_code == "y");
  store.spool->note_lane({.twin = pump});
  CHECK(store.spool->lane_notes().empty());
  store.reopen();
  CHECK(store.spool->lane_notes().empty());
}

TEST_CASE("the trace is trimmed when its rows are older than the window", "[spool]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.append(telemetry("pump", "b"));
  store.deliver(1);
  store.clocks.pass(600'001);
  store.deliver(2);
  CHECK(store.sql("SELECT group_concat(sequence) FROM delivered") == "2");
}

TEST_CASE("the WAL stays small under a load that never ends", "[spool]") {
  TestSpool store;
  store.open();
  const std::string body = "{\"t\":\"" + std::string(3000, 'x') + "\"}";
  std::uintmax_t largest = 0;
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 200; ++i)
      store.spool->append(telemetry("pump", std::to_string(round * 200 + i), body), [](const auto&) {});
    store.commit();
    largest = std::max(largest, std::filesystem::file_size(store.config.path + "-wal"));
  }
  CHECK(store.spool->stats().queued_messages == 12'000);
  // A checkpoint is due at 1,000 pages; the commit that reaches them is the last before the WAL begins anew.
  CHECK(largest < 8 << 20);
}

TEST_CASE("a WAL that a reader held back is copied and begins anew when the reader has gone", "[spool]") {
  TestSpool store;
  store.open();
  const std::string body = "{\"t\":\"" + std::string(3000, 'x') + "\"}";
  int number = 0;
  const auto load = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (int i = 0; i < 200; ++i)
        store.spool->append(telemetry("pump", std::to_string(number++), body), [](const auto&) {});
      store.commit();
    }
  };
  load(1);
  const auto wal_size = [&] { return std::filesystem::file_size(store.config.path + "-wal"); };
  {
    Result<sqlite::Database> reader = sqlite::Database::open(store.config.path, sqlite::Database::Mode::read_only);
    REQUIRE(reader);
    Result<sqlite::Statement> row = reader->prepare("SELECT sequence FROM queue");
    REQUIRE(row);
    REQUIRE(*row->step());  // and never asks for the next
    load(20);
    CHECK(wal_size() > 12 << 20);
  }
  load(10);
  const auto before = wal_size();
  load(20);
  CHECK(wal_size() == before);  // what it has grown to is written over
  CHECK(store.spool->stats().fault.empty());
}

TEST_CASE("a WAL that a reader holds is bounded: nothing is taken in until the reader ends", "[spool][space]") {
  TestSpool store;
  store.config.max_size = 256 * kMiB;  // so 64 MiB
  store.open();
  const std::string body = "{\"t\":\"" + std::string(30'000, 'x') + "\"}";
  int number = 0;
  const auto load = [&] {
    std::vector<Telemetry> messages;
    for (int i = 0; i < 100; ++i) messages.push_back(telemetry("pump", std::to_string(number++), body));
    store.clocks.pass(1000);
    return store.append_batch(std::move(messages));
  };
  REQUIRE(load());
  {
    Result<sqlite::Database> reader = sqlite::Database::open(store.config.path, sqlite::Database::Mode::read_only);
    REQUIRE(reader);
    Result<sqlite::Statement> row = reader->prepare("SELECT sequence FROM queue");
    REQUIRE(row);
    REQUIRE(*row->step());
    auto answer = load();
    for (int round = 0; round < 60 && answer; ++round) answer = load();
    REQUIRE_FALSE(answer);
    CHECK(answer.error().why == Refusal::storage);
    CHECK(store.spool->stats().ingest_closed_by_space);
    CHECK(std::filesystem::file_size(store.config.path + "-wal") < 72 * kMiB);
    store.deliver(1);  // is still recorded
    CHECK(store.spool->stats().delivered == 1);
    CHECK_FALSE(load());
  }
  CHECK(load());
  CHECK(store.spool->stats().fault.empty());
  CHECK(store.conserved());
}

TEST_CASE("a drained file gives its space back when nothing else is to be done", "[spool][space]") {
  TestSpool store;
  store.open();
  const std::string body = "{\"t\":\"" + std::string(30'000, 'x') + "\"}";
  std::vector<Telemetry> messages;
  for (int i = 0; i < 1500; ++i) messages.push_back(telemetry("pump", std::to_string(i), body));
  REQUIRE(store.append_batch(std::move(messages)));
  for (Sequence sequence = 1; sequence <= 1500; ++sequence) store.spool->finish({.sequence = sequence, .status = 204});
  while (store.commit()) {
  }
  const auto size = [&] { return std::filesystem::file_size(store.config.path); };
  const auto full = size();
  CHECK(full > 40 * kMiB);
  store.clocks.pass(100);
  CHECK_FALSE(store.commit());  // it has worked just now
  int slices = 0;
  store.clocks.pass(1000);
  for (; store.commit(); store.clocks.pass(1000)) ++slices;
  CHECK(slices > 10);
  CHECK(size() < 20 * kMiB);
  CHECK(size() > 14 * kMiB);  // some is kept for what comes next
  CHECK(store.append(telemetry("pump", "later")));
}

TEST_CASE("closing commits what waits and refuses what comes", "[spool]") {
  TestSpool store;
  store.open();
  std::vector<std::string> heard;
  store.spool->append(telemetry("pump", "a"),
                      [&](const auto& answer) { heard.push_back(answer ? "stored" : "refused"); });
  store.spool->flush_and_close([&] { heard.push_back("closed"); });
  store.spool->append(telemetry("pump", "b"), [&](const auto& answer) {
    CHECK(answer.error().why == Refusal::shutting_down);
    heard.push_back("refused");
  });
  store.settle();
  std::sort(heard.begin() + 1, heard.end());
  CHECK(heard == std::vector<std::string>{"stored", "closed", "refused"});
  store.reopen();
  CHECK(store.spool->stats().queued_messages == 1);
}

TEST_CASE("an inbox that is full says so, and takes more when it has been emptied", "[spool]") {
  TestSpool store;
  store.open();
  std::size_t stored = 0;
  std::size_t refused = 0;
  for (int i = 0; i < 70'000; ++i)
    store.spool->append(telemetry("pump", std::to_string(i)), [&](const auto& answer) {
      if (answer)
        ++stored;
      else if (answer.error().why == Refusal::inbox_full)
        ++refused;
    });
  store.settle();
  CHECK(refused == 70'000 - 65'536);
  while (store.commit()) {
  }
  CHECK(stored == 65'536);
  CHECK(store.spool->stats().commits == 16);
  CHECK(store.append(telemetry("pump", "more")));
}

TEST_CASE("figures that do not match the rows are counted again at the start", "[spool]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.append(telemetry("pump", "b"));
  store.close();
  store.write_sql("UPDATE figures SET next_sequence = 1, queued_messages = 0, queued_bytes = 5");
  store.open();
  CHECK(store.spool->stats().queued_messages == 2);
  CHECK(store.sql("SELECT sum(bytes) FROM queue") == std::to_string(store.spool->stats().queued_bytes));
  CHECK(store.append(telemetry("pump", "c"))->sequence == 3);
  CHECK(store.conserved());
}

// What a reader in another process is told, in one statement.
std::string summary(TestSpool& store) {
  return store.sql(
      "SELECT queued_messages||'|'||(queued_bytes = (SELECT sum(bytes) FROM queue))||'|'||accepted||'|'||duplicates||"
      "'|'||delivered||'|'||newest_sequence||'|'||(SELECT group_concat(socket||messages) FROM sources) FROM summary");
}

TEST_CASE("commits that only append leave the figures as they are, and every reader adds the rows", "[spool]") {
  TestSpool store;
  store.sources = {{"/one", {}}, {"/two", {}}};
  store.open();
  store.append(telemetry("pump", "a"), 1);
  store.append(telemetry("pump", "b"), 2);
  store.append(telemetry("pump", "c"), 1);
  CHECK(store.sql("SELECT next_sequence||'|'||accepted FROM figures") == "1|0");
  CHECK(summary(store) == "3|1|3|0|0|3|/one2,/two1");

  CHECK(store.append(telemetry("pump", "a"))->duplicate);
  CHECK(summary(store) == "3|1|3|0|0|3|/one2,/two1");  // counted with the next commit
  store.append(telemetry("pump", "d"), 2);
  CHECK(summary(store) == "4|1|4|1|0|4|/one2,/two2");
  CHECK(store.sql("SELECT next_sequence FROM figures") == "5");
  store.append(telemetry("pump", "e"), 2);
  store.deliver(1);
  CHECK(summary(store) == "4|1|5|1|1|5|/one1,/two3");
  CHECK(store.sql("SELECT next_sequence FROM figures") == "6");
  store.append(telemetry("pump", "f"), 1);

  store.crash();
  CHECK(summary(store) == "5|1|6|1|1|6|/one2,/two3");
  const SpoolStats& stats = store.spool->stats();
  CHECK(stats.queued_messages == 5);
  CHECK(stats.duplicates == 1);
  CHECK(store.sql("SELECT queued_bytes FROM summary") == std::to_string(stats.queued_bytes));
  CHECK(store.append(telemetry("pump", "g"))->sequence == 7);
  CHECK(store.conserved());
  store.close();
  CHECK(store.sql("SELECT next_sequence FROM figures") == "8");
}

TEST_CASE("the figures fall behind the rows by a bounded number of them", "[spool]") {
  TestSpool store;
  store.config.dedup_window = Duration{};
  store.open();
  for (int commit = 0; commit < 50; ++commit) {
    std::vector<Telemetry> batch;
    for (int i = 0; i < 200; ++i) batch.push_back(telemetry("pump", std::to_string(i)));
    REQUIRE(store.append_batch(std::move(batch)));
    const std::string behind = store.sql("SELECT newest_sequence + 1 - next_sequence FROM summary, figures");
    REQUIRE(std::stoull(behind) < kFiguresLagMax);
    REQUIRE(store.sql("SELECT queued_messages FROM summary") == std::to_string(200 * (commit + 1)));
  }
  CHECK(store.sql("SELECT next_sequence > 1 FROM figures") == "1");
  store.crash();
  CHECK(store.spool->stats().queued_messages == 10'000);
  CHECK(store.spool->stats().newest == 10'000);
  CHECK(store.conserved());
}

TEST_CASE("rows beyond the figures that somebody took away are missed at the start", "[spool]") {
  TestSpool store;
  store.open();
  for (const char* id : {"a", "b", "c"}) store.append(telemetry("pump", id));
  store.write_sql("DELETE FROM messages WHERE sequence = 2");
  store.crash();
  CHECK(store.spool->stats().queued_messages == 2);
  CHECK(store.sql("SELECT queued_messages||'|'||newest_sequence FROM summary") == "2|3");
  CHECK(store.append(telemetry("pump", "d"))->sequence == 4);
  CHECK(store.conserved());
}

TEST_CASE("accepted is queued, delivered, quarantined and dropped after any history", "[spool]") {
  const auto seed = static_cast<unsigned>(GENERATE(range(1, 6)));
  CAPTURE(seed);
  std::mt19937 random(seed);
  TestSpool store;
  store.config.max_messages = 40;
  store.open();
  std::set<Sequence> queued;
  for (int step = 0; step < 200; ++step) {
    const auto choice = random() % 20;
    if (choice < 12) {
      const auto answer =
          store.append(telemetry("twin" + std::to_string(random() % 5), std::to_string(random() % 300)));
      if (answer && !answer->duplicate) queued.insert(answer->sequence);
    } else if (choice < 18 && !queued.empty()) {
      const auto victim = std::next(queued.begin(), static_cast<std::ptrdiff_t>(random() % queued.size()));
      if (random() % 4 == 0)
        store.quarantine(*victim);
      else
        store.deliver(*victim);
      queued.erase(victim);
    } else if (choice == 18) {
      store.crash();
    } else {
      store.reopen();
    }
    REQUIRE(store.conserved());
    REQUIRE(store.spool->stats().queued_messages == queued.size());
    REQUIRE(store.spool->stats().oldest == (queued.empty() ? 0 : *queued.begin()));
    REQUIRE(store.sql("SELECT coalesce(sum(bytes), 0) FROM queue") ==
            std::to_string(store.spool->stats().queued_bytes));
    REQUIRE(store.sql("SELECT queued_messages||'|'||queued_bytes||'|'||accepted||'|'||newest_sequence FROM summary") ==
            std::to_string(queued.size()) + "|" + std::to_string(store.spool->stats().queued_bytes) + "|" +
                std::to_string(store.spool->stats().accepted) + "|" + std::to_string(store.spool->stats().newest));
  }
  CHECK(sequences(store.read()->messages) == Sequences(queued.begin(), queued.end()));
}

}  // namespace
}  // namespace twinspool
