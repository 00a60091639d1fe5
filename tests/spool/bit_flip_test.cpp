// Bit rot, everywhere in the files of a store: what was damaged is never sent, nothing crashes, and what stands on
// other pages is delivered in order. TWINSPOOL_BIT_FLIPS=30000 makes it longer, TWINSPOOL_SEED=N gives other places.
#include <cstdlib>
#include <random>

#include "spool/fixture.h"
#include "spool/page_file.h"
#include "support/catch.h"

namespace twinspool {
namespace {

constexpr int kTwins = 7;
constexpr int kRows = 250;
constexpr std::size_t kRowsOfAPageMax = 20;

Telemetry original(Sequence sequence) {
  const auto i = static_cast<int>(sequence);
  Telemetry message = telemetry("twin-" + std::to_string(i % kTwins), "id-" + std::to_string(i),
                                "{\"n\":" + std::to_string(i) + ",\"pad\":\"" + std::string(150, 'x') + "\"}");
  if (i % 3 == 0) message.component = "motor";
  if (i % 40 == 0) message.body = "{\"long\":\"" + std::string(9000, 'y') + "\"}";
  message.traceparent = "00-" + std::to_string(i);
  return message;
}

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// A store that was killed: two thirds are in the database alone, the rest in the WAL. A stop alone would leave all of
// it in the WAL, too, which hides the database's pages from every reader.
struct Image {
  Image() {
    store.open();
    for (Sequence i = 1; i <= kRows; ++i) {
      store.spool->append(original(i), [](const auto& answer) { REQUIRE(answer); });
      if (i % 10 == 0) store.commit();
      if (i != kRows * 2 / 3) continue;
      store.commit();
      store.close();
      store.write_sql("PRAGMA wal_checkpoint(TRUNCATE)");
      store.open();
    }
    for (Sequence i = 1; i <= 30; ++i) store.spool->finish({.sequence = i, .status = 204});
    store.commit();
    copy_store(store.dir, files);
  }
  TestSpool store;
  TempDir files;
};

// Everything that comes out, delivered at once as the cloud would take it; and again after a restart, as hidden rows
// may have come to light.
std::vector<Message> drain(TestSpool& store) {
  std::vector<Message> all;
  for (int life = 0; life < 2; ++life) {
    ReadRequest request;
    for (int slices = 0; slices < 200; ++slices) {
      Result<ReadResult> result = store.read(request);
      if (!result) {
        request.after = 0;
        store.clocks.pass(1000);
        store.commit();
        continue;
      }
      for (Message& message : result->messages) {
        store.spool->finish({.sequence = message.sequence, .status = 204});
        all.push_back(std::move(message));
      }
      request.after = result->scanned_through;
      store.commit();
      if (result->reached_end && request.after >= store.spool->stats().newest &&
          store.spool->stats().queued_messages == 0)
        break;
      if (result->reached_end) request.after = 0;
    }
    store.reopen();
  }
  return all;
}

TEST_CASE("a flipped bit is never sent, and costs no more than its page", "[spool][salvage][bitflips]") {
  const Image image;
  std::mt19937_64 random(number_from("TWINSPOOL_SEED", 1));
  const std::uint64_t flips = number_from("TWINSPOOL_BIT_FLIPS", 200);
  std::uint64_t lost = 0;
  std::uint64_t salvages = 0;
  for (std::uint64_t flip = 0; flip < flips; ++flip) {
    TestSpool store;
    copy_store(image.files, store.dir);
    const bool in_wal = random() % 3 == 0;
    const std::string path = store.config.path + (in_wal ? "-wal" : "");
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const std::uint64_t bytes = std::filesystem::file_size(path);
    const std::uint64_t at = random() % bytes;
    const int bit = static_cast<int>(random() % 8);
    file.seekg(static_cast<std::streamoff>(at));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 1 << bit));
    file.close();

    INFO("bit " << bit << " of byte " << at << " of the " << (in_wal ? "WAL" : "database") << ", page "
                << at / kPageBytes + 1);
    const Result<void> opened = store.try_open();
    INFO((opened ? "" : opened.error().what));
    REQUIRE(opened);
    const std::vector<Message> messages = drain(store);
    // The end of a WAL that is damaged looks like a write that a power cut tore: what was delivered is sent again.
    Sequence last = in_wal ? 0 : 30;
    std::size_t seen = 0;
    for (const Message& message : messages) {
      REQUIRE(message.sequence >= 1);
      REQUIRE(message.sequence <= kRows);
      REQUIRE(message.telemetry == original(message.sequence));
      // Rows that a damaged page hid come after a salvage, late; the others in order.
      if (message.sequence > last) {
        last = message.sequence;
        ++seen;
      } else if (!store.spool->stats().degraded.empty()) {
        ++seen;
      } else {
        FAIL("sequence " << message.sequence << " after " << last);
      }
    }
    const std::size_t spared = kRowsOfAPageMax + (in_wal ? 20 : 0);
    REQUIRE(seen + spared >= kRows - 30);
    REQUIRE(store.conserved());
    lost += kRows - 30 - std::min<std::size_t>(seen, kRows - 30);
    if (!store.spool->stats().degraded.empty()) ++salvages;
    REQUIRE(store.append(telemetry("new", "after")));
  }
  WARN(flips << " flips: " << lost << " rows lost or in the quarantine, " << salvages << " salvages");
}

// Forty messages in the database alone, as they are on the disk.
std::string stopped_file(TestSpool& store) {
  store.open();
  for (Sequence i = 1; i <= 40; ++i) REQUIRE(store.append(original(i)));
  store.close();
  store.write_sql("PRAGMA wal_checkpoint(TRUNCATE)");
  return store.dir.read("queue.db");
}

TEST_CASE("a bit of a twin's or component's name is damaged: no message of it is set aside", "[spool][salvage]") {
  TestSpool store;
  std::string file = stopped_file(store);
  const std::string name = GENERATE("twin-3", "motor");
  const int which = GENERATE(0, 1);  // in the table, in its index
  std::size_t at = file.find(name);
  for (int i = 0; i < which && at != std::string::npos; ++i) at = file.find(name, at + 1);
  REQUIRE(at != std::string::npos);
  file[at + 4] ^= '\x01';
  store.dir.write("queue.db", file);
  store.open();
  std::size_t sent = 40;
  SECTION("they are read first") {}
  SECTION("a new one comes first") {
    for (int tries = 0; sent == 40 && tries < 3; ++tries) {  // the first may find the damage
      if (store.append(original(45))) sent = 41;
      store.clocks.pass(31'000);
    }
    REQUIRE(sent == 41);
  }
  std::vector<Message> messages = drain(store);
  CHECK(messages.size() == sent);
  if (sent == 41) {
    CHECK(messages.back().telemetry == original(45));
    messages.pop_back();
  }
  for (std::size_t i = 0; i < messages.size(); ++i) CHECK(messages[i].telemetry == original(i + 1));
  CHECK(store.spool->stats().quarantined == 0);
  CHECK(store.append(original(3)));
  CHECK(store.append(original(41)));
}

TEST_CASE("a bit of a twin's or component's number is damaged: no message of it is set aside", "[spool][salvage]") {
  TestSpool store;
  std::string file = stopped_file(store);
  const std::string name = GENERATE("twin-3", "motor");
  // A row of the table: its number, a header of three bytes, of which NULL stands for the number, and the name.
  std::size_t at = file.find(name);
  while (at != std::string::npos && file.compare(at - 3, 2, std::string("\x03\0", 2)) != 0)
    at = file.find(name, at + 1);
  REQUIRE(at != std::string::npos);
  file[at - 4] ^= static_cast<char>(GENERATE(0x04, 0x40));
  store.dir.write("queue.db", file);
  store.open();
  const std::vector<Message> messages = drain(store);
  CHECK(messages.size() == 40);
  for (std::size_t i = 0; i < messages.size(); ++i) CHECK(messages[i].telemetry == original(i + 1));
  CHECK(store.spool->stats().quarantined == 0);
  CHECK(store.append(original(41)));
}

}  // namespace
}  // namespace twinspool
