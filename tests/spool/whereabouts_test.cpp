#include "spool/whereabouts.h"

#include "spool/fixture.h"
#include "spool/read_thread.h"
#include "spool/snapshot.h"
#include "support/catch.h"

namespace twinspool {
namespace {

using namespace std::chrono_literals;

Whereabouts find(TestSpool& store, const std::string& twin, const std::string& id, Sequence recent = 0) {
  Result<sqlite::Database> reader = open_for_questions(store.config.path);
  ENSURE(reader);
  const Result<Whereabouts> found = find_message(*reader, {.twins = {twin}, .message_id = id}, recent);
  ENSURE(found);
  return *found;
}

TEST_CASE("the newest message of a name is found, by its sequence or without", "[spool][whereabouts]") {
  TestSpool store;
  store.config.keep_delivered = 1h;
  store.open();
  store.append(telemetry("pump", "a"));
  for (const Sequence recent : {0, 1}) {
    const Whereabouts queued = find(store, "pump", "a", recent);
    CHECK(queued.state == "queued");
    CHECK(queued.sequence == 1);
    CHECK(queued.accepted_ms == store.clocks.wall_ms);
  }
  store.clocks.pass(5);
  store.deliver(1);
  for (const Sequence recent : {0, 1}) {
    const Whereabouts delivered = find(store, "pump", "a", recent);
    CHECK(delivered.state == "delivered");
    CHECK(delivered.status == 204);
    CHECK(delivered.at_ms == store.clocks.wall_ms);
  }
  store.recall({});
  const Whereabouts again = find(store, "pump", "a", 1);
  CHECK(again.state == "queued");
  CHECK(again.replay_of == 1);
  CHECK(find(store, "pump", "b").state == "unknown");
  CHECK(find(store, "valve", "a").state == "unknown");
}

TEST_CASE("a second message of the same name, after the window forgot the first, is the one that is found",
          "[spool][whereabouts]") {
  TestSpool store;
  store.config.dedup_window = 1s;
  store.config.keep_delivered = 1h;
  store.open();
  store.append(telemetry("pump", "a"));
  store.deliver(1);
  store.clocks.pass(2000);
  store.append(telemetry("pump", "a"));
  CHECK(find(store, "pump", "a").sequence == 2);
  CHECK(find(store, "pump", "a").state == "queued");
}

TEST_CASE("a quarantined message has its reason, until it is purged", "[spool][whereabouts]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.quarantine(1);
  const Whereabouts found = find(store, "pump", "a", 1);
  CHECK(found.state == "quarantined");
  CHECK(found.reason == "refused");
  CHECK(found.error_code == "ValidationFailed");
  store.recall({.what = Recall::What::purge});
  CHECK(find(store, "pump", "a").state == "purged");
}

TEST_CASE("a look-up that takes too long ends, and says that it is the time", "[spool][whereabouts]") {
  TestSpool store;
  store.open();
  std::vector<Telemetry> batch;
  for (int n = 0; n < 4000; ++n) batch.push_back(telemetry("pump", "id-" + std::to_string(n)));
  REQUIRE(store.append_batch(batch));
  Result<sqlite::Database> reader = open_for_questions(store.config.path);
  REQUIRE(reader);
  reader->interrupt_when([] { return true; });
  const Result<Whereabouts> found = find_message(*reader, {.twins = {"pump"}, .message_id = "other"}, 0);
  REQUIRE_FALSE(found);
  CHECK(found.error().code == Errc::timeout);
}

TEST_CASE("a snapshot has every row, is verified, and never overwrites", "[spool][snapshot]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.append(telemetry("pump", "b"));
  store.quarantine(1);
  Result<sqlite::Database> reader = open_for_questions(store.config.path);
  REQUIRE(reader);
  const std::string file = store.dir.file("it's a copy.db");
  const Result<Snapshot> taken = take_snapshot(*reader, file);
  REQUIRE(taken);
  CHECK(taken->queued_messages == 1);
  CHECK(taken->quarantine_messages == 1);
  CHECK(taken->bytes == std::filesystem::file_size(file));
  Result<sqlite::Database> copy = open_for_questions(file);
  REQUIRE(copy);
  CHECK(*copy->text("SELECT message_id FROM queue") == "b");
  const Result<Snapshot> again = take_snapshot(*reader, file);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Errc::busy);
}

TEST_CASE("a snapshot that does not come to its end leaves no file behind", "[spool][snapshot]") {
  TestSpool store;
  store.open();
  std::vector<Telemetry> batch;
  for (int n = 0; n < 4000; ++n) batch.push_back(telemetry("pump", "id-" + std::to_string(n)));
  REQUIRE(store.append_batch(batch));
  Result<sqlite::Database> reader = open_for_questions(store.config.path);
  REQUIRE(reader);
  reader->interrupt_when([] { return true; });
  const Result<Snapshot> taken = take_snapshot(*reader, store.dir.file("copy.db"));
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == Errc::timeout);
  for (const auto& entry : std::filesystem::directory_iterator(store.dir.path()))
    CHECK(entry.path().filename().string().find("copy") == std::string::npos);
}

}  // namespace
}  // namespace twinspool
