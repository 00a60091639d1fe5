#include "spool/recovery.h"

#include <fstream>
#include <set>

#include "spool/fixture.h"
#include "spool/repair.h"
#include "support/catch.h"

namespace twinspool {
namespace {

std::vector<std::string> ids(const std::vector<Message>& messages) {
  std::vector<std::string> ids;
  for (const Message& message : messages) ids.push_back(message.telemetry.message_id);
  return ids;
}

// The whole queue, in order, as the forwarder would read it.
std::vector<Message> queued(TestSpool& store) {
  std::vector<Message> all;
  ReadRequest request;
  for (;;) {
    Result<ReadResult> result = store.read(request);
    if (!result) {
      UNSCOPED_INFO(result.error().what);
      for (int slices = 0; slices < 100 && store.commit(); ++slices) {
      }
      result = store.read(request);
      if (!result) return all;
    }
    for (Message& message : result->messages) all.push_back(std::move(message));
    if (result->reached_end) return all;
    request.after = result->scanned_through;
  }
}

std::vector<std::string> files_like(const TestSpool& store, const std::string& part) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(store.dir.path()))
    if (entry.path().filename().string().find(part) != std::string::npos) found.push_back(entry.path());
  return found;
}

void recover(TestSpool& store) {
  for (int slices = 0; slices < 1000 && store.commit(); ++slices) {
  }
}

void trash_page(const std::string& path, std::size_t page) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>((page - 1) * kPageBytes));
  file << std::string(kPageBytes, '\xa5');
}

constexpr int kRows = 300;

void fill(TestSpool& store, int rows = kRows) {
  for (int i = 0; i < rows; ++i) {
    Telemetry message = telemetry("twin-" + std::to_string(i % 7), "id-" + std::to_string(i),
                                  "{\"n\":" + std::to_string(i) + ",\"pad\":\"" + std::string(150, 'x') + "\"}");
    if (i % 3 == 0) message.component = "motor";
    if (i % 50 == 0) message.body = "{\"long\":\"" + std::string(9000, 'y') + "\"}";
    store.spool->append(std::move(message), [](const auto& answer) { REQUIRE(answer); });
    if (i % 20 == 19) store.commit();
  }
  store.commit();
}

TEST_CASE("after a failed sync the rows go into a new file and the queue takes messages again", "[spool][recovery]") {
  DiskFaults disk;
  TestSpool store;
  store.open();
  fill(store);
  store.deliver(1);
  const SpoolStats before = store.spool->stats();
  disk.fail_syncs(true);
  const auto refused = store.append(telemetry("pump", "refused"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == Refusal::storage);
  CHECK(store.spool->stats().fault.find("what the queue holds is kept") != std::string::npos);
  disk.fail_syncs(false);
  store.clocks.pass(1000);
  recover(store);

  CHECK(store.spool->stats().fault.empty());
  CHECK(store.spool->stats().degraded.find("a write to the disk failed") != std::string::npos);
  CHECK(store.spool->stats().queued_messages == before.queued_messages);
  CHECK(store.spool->stats().delivered == 1);
  CHECK(store.append(telemetry("pump", "new"))->sequence == before.newest + 1);
  CHECK(queued(store).size() == kRows);
  CHECK(store.conserved());
  CHECK(store.append(telemetry("pump", "new"))->duplicate);  // the window is as it was
  CHECK(std::filesystem::is_symlink(store.config.path));
  CHECK(files_like(store, ".failed-").size() == 2);  // the database and its WAL
  CHECK(store.sql("SELECT count(*) FROM queue") == std::to_string(kRows));
  CHECK(store.sql("PRAGMA integrity_check") == "ok");
  store.crash();
  CHECK(queued(store).size() == kRows);
  CHECK_FALSE(store.spool->stats().degraded.empty());  // until somebody says so

  std::optional<Result<void>> acknowledged;
  store.spool->acknowledge([&](Result<void> done) { acknowledged = std::move(done); });
  store.commit();
  REQUIRE(acknowledged);
  CHECK(acknowledged->has_value());
  CHECK(store.spool->stats().degraded.empty());
  store.reopen();
  CHECK(store.spool->stats().degraded.empty());
}

TEST_CASE("what is delivered while the disk is out of order is recorded in the new file", "[spool][recovery]") {
  DiskFaults disk;
  TestSpool store;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  REQUIRE(store.append(telemetry("pump", "b")));
  disk.fail_syncs(true);
  REQUIRE_FALSE(store.append(telemetry("pump", "c")));
  store.deliver(1);
  CHECK(store.spool->stats().delivered == 0);
  CHECK(ids(queued(store)) == std::vector<std::string>{"b"});
  CHECK_FALSE(store.spool->stats().fault.empty());
  disk.fail_syncs(false);
  store.clocks.pass(120'000);
  recover(store);
  CHECK(store.spool->stats().fault.empty());
  store.commit();
  CHECK(store.spool->stats().delivered == 1);
  store.crash();
  CHECK(ids(queued(store)) == std::vector<std::string>{"b"});
  CHECK(store.conserved());
}

TEST_CASE("while the disk stays out of order it is tried again with a growing delay", "[spool][recovery]") {
  DiskFaults disk;
  TestSpool store;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  disk.fail_syncs(true);
  REQUIRE_FALSE(store.append(telemetry("pump", "b")));
  recover(store);
  CHECK(store.spool->stats().fault.find("it is tried again by itself") != std::string::npos);
  CHECK_FALSE(store.commit());  // not before the delay is over
  CHECK(files_like(store, ".gen-").empty());
  store.clocks.pass(1000);
  CHECK(store.commit());
  recover(store);
  disk.fail_syncs(false);
  store.clocks.pass(1000);
  CHECK_FALSE(store.commit());
  store.clocks.pass(1000);
  recover(store);
  CHECK(store.spool->stats().fault.empty());
  CHECK(store.append(telemetry("pump", "b")));
}

TEST_CASE("files removed or replaced under the daemon are noticed, and nothing is lost", "[spool][recovery]") {
  TestSpool store;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  const std::string what = GENERATE("database", "wal", "all");
  if (what != "wal") std::filesystem::remove(store.config.path);
  if (what != "database") std::filesystem::remove(store.config.path + "-wal");
  store.clocks.pass(1000);
  CHECK_FALSE(store.append(telemetry("pump", "b")));
  recover(store);
  CHECK(store.append(telemetry("pump", "b")));
  store.crash();
  CHECK(ids(queued(store)) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("each page trashed once: what is on the others is delivered, in order", "[spool][recovery][salvage]") {
  TestSpool original;
  original.open();
  fill(original);
  for (Sequence i = 1; i <= 40; ++i) original.spool->finish({.sequence = i, .status = 204});
  original.commit();
  original.quarantine(41);
  REQUIRE(original.spool->stats().queued_messages == kRows - 41);
  original.close();  // all of it is in the database
  std::filesystem::remove(original.config.path + "-wal");
  const std::size_t pages = std::filesystem::file_size(original.config.path) / kPageBytes;
  REQUIRE(pages > 20);

  std::size_t all_there = 0;
  for (std::size_t page = 1; page <= pages; ++page) {
    TestSpool store;
    copy_store(original.dir, store.dir);
    trash_page(store.config.path, page);
    INFO("page " << page << " of " << pages);
    const Result<void> opened = store.try_open();
    INFO((opened ? "" : opened.error().what));
    REQUIRE(opened);
    recover(store);
    std::vector<Message> messages = queued(store);
    recover(store);
    messages = queued(store);  // what came to light meanwhile
    Sequence last = 41;
    for (const Message& message : messages) {
      CHECK(message.sequence > last);
      last = message.sequence;
      const int i = static_cast<int>(message.sequence) - 1;
      CHECK(message.telemetry.message_id == "id-" + std::to_string(i));
      CHECK(message.telemetry.twin == "twin-" + std::to_string(i % 7));
    }
    CHECK(messages.size() >= kRows - 41 - 20);  // a page holds no more rows than that
    if (messages.size() == kRows - 41) ++all_there;
    CHECK(store.spool->stats().queued_messages == messages.size());
    CHECK(store.conserved());
    CHECK(store.append(telemetry("twin-1", "after")));
    // A trashed pointer map stays unnoticed: nothing that is read or written needs it.
    if (!store.spool->stats().degraded.empty()) CHECK(store.sql("PRAGMA integrity_check") == "ok");
  }
  // The schema, look-up, trace and map pages, and the inner ones, are no loss.
  CHECK(all_there >= 12);
}

TEST_CASE("a salvaged store keeps what it knew, and says what happened", "[spool][recovery][salvage]") {
  TestSpool store;
  store.open();
  fill(store);
  store.deliver(1);
  store.quarantine(2);
  store.close();
  trash_page(store.config.path, 1);
  std::filesystem::remove(store.config.path + "-wal");  // it has that page, too
  store.open();
  CHECK(store.spool->stats().fault.empty());
  CHECK(store.spool->stats().degraded.find("298 messages were salvaged") != std::string::npos);
  CHECK(store.spool->stats().degraded.find("0 were lost") != std::string::npos);
  CHECK(store.spool->stats().delivered == 1);
  CHECK(store.spool->stats().quarantine_messages == 1);
  CHECK(store.append(telemetry("twin-1", "id-1", "{\"n\":1,\"pad\":\"" + std::string(150, 'x') + "\"}"))->duplicate);
  CHECK(store.append(telemetry("twin-1", "next"))->sequence > kRows);
  CHECK(files_like(store, ".corrupt-").size() == 1);
  CHECK(store.conserved());
}

TEST_CASE("what a trashed page held beyond the figures is counted as lost", "[spool][recovery][salvage]") {
  TestSpool store;
  store.open();
  fill(store, 50);
  store.reopen();  // the figures know these
  for (int i = 50; i < 250; ++i)
    REQUIRE(store.append(telemetry("twin-1", "id-" + std::to_string(i), "{\"x\":\"" + std::string(150, 'x') + "\"}")));
  REQUIRE(store.sql("SELECT next_sequence FROM figures") == "51");
  store.close();
  // As a kill would have left them: the clean stop wrote the figures.
  store.write_sql(
      "UPDATE figures SET next_sequence = 51, queued_messages = 50, accepted = 50, sources = '[]'; "
      "PRAGMA wal_checkpoint(TRUNCATE)");
  const std::string whole = store.dir.read("queue.db");
  const std::size_t page = whole.find("id-150") / kPageBytes;
  const std::string trashed = whole.substr(page * kPageBytes, kPageBytes);
  std::uint64_t gone = 0;
  for (int i = 50; i < 250; ++i) gone += trashed.find("id-" + std::to_string(i)) == std::string::npos ? 0 : 1;
  REQUIRE(gone > 0);
  trash_page(store.config.path, page + 1);
  const Result<RepairReport> plan = plan_repair(store.config.path);
  REQUIRE(plan);
  CHECK(plan->lost == gone);
  store.open();
  recover(store);
  (void)queued(store);
  CHECK(store.spool->stats().lost == gone);
  CHECK(store.spool->stats().queued_messages == 250 - gone);
  CHECK(store.append(telemetry("pump", "new"))->sequence > 250);
  CHECK(store.conserved());
}

TEST_CASE("an import that a crash interrupted goes on", "[spool][recovery][salvage]") {
  TestSpool store;
  store.open();
  fill(store);
  store.close();
  trash_page(store.config.path, 1);

  // By hand, so that it can stop in between.
  Result<StoreFiles> files = prepare_files(store.config.path);
  REQUIRE(files);
  auto salvage = Salvage::open(files->database, files->wal);
  REQUIRE(salvage);
  auto generation = Generation::begin(*files);
  REQUIRE(generation);
  auto note = begin_store(generation->files().database, **salvage, nullptr);
  REQUIRE(note);
  note->database = aside_name(*files, "corrupt", store.clocks.wall_ms);
  note->wal = note->database + "-wal";
  REQUIRE(write_salvage_note(*files, *note));
  REQUIRE(generation->switch_in(*files, note->database));

  store.open();
  recover(store);
  CHECK(queued(store).size() == kRows);
  CHECK_FALSE(std::filesystem::exists(store.config.path + ".salvage"));
  store.reopen();
  CHECK(queued(store).size() == kRows);
  CHECK(store.conserved());
}

TEST_CASE("half-built generations are removed at start, and what is whole stays", "[spool][recovery]") {
  TestSpool store;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  Result<StoreFiles> files = prepare_files(store.config.path);
  REQUIRE(files);
  store.close();
  std::string directory;
  {
    auto half = Generation::begin(*files);
    REQUIRE(half);
    directory = half->files().directory;
    const TempDir kept;
    std::filesystem::copy(directory, kept.path() / "kept", std::filesystem::copy_options::recursive);
    half = fail(Errc::invalid, "dropped");  // removed by its owner
    CHECK_FALSE(std::filesystem::exists(directory));
    std::filesystem::copy(kept.path() / "kept", directory, std::filesystem::copy_options::recursive);
  }
  store.open();
  CHECK_FALSE(std::filesystem::exists(directory));
  CHECK(ids(queued(store)) == std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace twinspool
