#include "spool/deduplication.h"

#include <random>

#include "spool/fixture.h"
#include "support/catch.h"

namespace twinspool {
namespace {

std::vector<Telemetry> numbered(std::size_t from, std::size_t count) {
  std::vector<Telemetry> messages;
  for (std::size_t i = from; i < from + count; ++i) messages.push_back(telemetry("pump", "id-" + std::to_string(i)));
  return messages;
}

struct Numbered : TestSpool {
  Numbered() { open(); }
  void store(std::size_t from, std::size_t count) {
    for (const std::size_t end = from + count; from < end; from += 1000)
      ENSURE(append_batch(numbered(from, std::min<std::size_t>(1000, end - from))));
  }
  bool knows(std::size_t number) {
    const Answer answer = append(telemetry("pump", "id-" + std::to_string(number)));
    return answer && answer->duplicate && answer->sequence == number + 1;
  }
  std::string segments() {
    return sql("SELECT count(*) || ' to ' || ifnull(max(last_sequence), 0) FROM window_segments");
  }
};

}  // namespace

TEST_CASE("a packed window is read back with the time that has passed", "[spool][dedup]") {
  const std::vector<DedupWindow::Entry> entries = {
      {{1, UINT64_MAX}, 7, 100, 5000}, {{2, 3}, UINT64_MAX, 101, 5001}, {{4, 5}, 8, 5000, 9000}};
  const std::string bytes = packed(entries, 4000);
  const auto same = unpacked(bytes, 100, 0, 4000);
  REQUIRE(same);
  REQUIRE(same->size() == 3);
  CHECK((*same)[0].key == Digest128{1, UINT64_MAX});
  CHECK((*same)[1].body == UINT64_MAX);
  CHECK((*same)[2].sequence == 5000);
  CHECK((*same)[2].expires_ms == 9000);
  const auto later = unpacked(bytes, 100, 1000, 20'000);  // in another boot, a second later
  REQUIRE(later->size() == 2);
  CHECK(later->front().sequence == 101);
  CHECK(later->front().expires_ms == 20'001);
  CHECK_FALSE(unpacked(bytes.substr(1), 100, 0, 0));
}

TEST_CASE("after a restart the window is known without the rows", "[spool][dedup]") {
  Numbered spool;
  spool.store(0, 6000);
  CHECK(spool.segments() == "1 to 5000");
  // Were the rows read, none of these would be known.
  spool.write_sql("UPDATE messages SET message_id = 'x' || message_id WHERE sequence <= 5000");
  spool.crash();
  for (const std::size_t number : {0, 1, 2500, 4999}) CHECK(spool.knows(number));
  CHECK_FALSE(spool.knows(6000));
}

TEST_CASE("after a restart what is in no segment yet is known by its row, queued or gone", "[spool][dedup]") {
  Numbered spool;
  spool.store(0, 5500);
  for (const Sequence sequence : {1, 4999, 5001, 5400}) spool.deliver(sequence);
  spool.crash();
  for (const std::size_t number : {0, 4998, 5000, 5399, 5001, 5499}) CHECK(spool.knows(number));
  CHECK(spool.spool->stats().accepted == 5500);
}

TEST_CASE("a backlog that drains beside few fresh messages leaves little to read at a start", "[spool][dedup]") {
  Numbered spool;
  spool.store(0, 20'000);
  const std::string before = spool.segments();
  spool.store(20'000, 10);
  CHECK(spool.segments() == before);
  for (Sequence sequence = 1; sequence <= 20'000; ++sequence) {
    spool.spool->finish({.sequence = sequence, .status = 204});
    if (sequence % 1000 == 0) spool.commit();
  }
  CHECK(spool.segments() != before);
  CHECK(spool.sql("SELECT (SELECT max(n) FROM trace) - max(trace_n) < 16384 FROM window_segments") == "1");
  spool.crash();
  CHECK(spool.knows(20'009));
  CHECK(spool.knows(0));
}

TEST_CASE("a damaged segment makes the start read the rows", "[spool][dedup]") {
  Numbered spool;
  spool.store(0, 10'000);
  spool.write_sql("UPDATE window_segments SET checksum = checksum + 1 WHERE n = 1");
  spool.crash();
  for (const std::size_t number : {0, 4999, 9999}) CHECK(spool.knows(number));
  CHECK(spool.segments() == "0 to 0");
  spool.store(10'000, 1);  // the first of the new ones, with the oldest that were read
  CHECK(spool.segments() == "1 to 8192");
  spool.crash();
  for (const std::size_t number : {0, 8191, 8192, 9999, 10'000}) CHECK(spool.knows(number));
}

TEST_CASE("a failed commit takes its segment back", "[spool][dedup][faults]") {
  DiskFaults faults;
  Numbered spool;
  spool.store(0, 4000);
  faults.fill_up(true);
  CHECK_FALSE(spool.append_batch(numbered(4000, 200)));
  faults.fill_up(false);
  spool.clocks.pass(2000);
  spool.store(4000, 200);
  CHECK(spool.segments() == "1 to 4200");
  spool.crash();
  for (const std::size_t number : {0, 3999, 4000, 4199}) CHECK(spool.knows(number));
}

TEST_CASE("segments go when the window has passed over them", "[spool][dedup]") {
  Numbered spool;
  spool.store(0, 5000);
  spool.clocks.pass(601'000);
  spool.store(5000, 5000);
  CHECK(spool.segments() == "1 to 10000");
  spool.crash();
  CHECK(spool.knows(9999));
  const TestSpool::Answer again = spool.append(telemetry("pump", "id-0"));
  CHECK_FALSE(again->duplicate);
}

TEST_CASE("duplicates are told by the window whatever happened before", "[spool][dedup]") {
  std::mt19937_64 random(GENERATE(range(1, 5)));
  Numbered spool;
  std::size_t stored = 0;
  std::vector<Sequence> queued;
  for (int step = 0; step < 60; ++step) {
    const std::size_t count = 1 + random() % 1000;
    ENSURE(spool.append_batch(numbered(stored, count)));
    for (std::size_t i = 0; i < count; ++i) queued.push_back(++stored);
    for (std::size_t gone = random() % 1200; gone > 0 && !queued.empty(); --gone) {
      const std::size_t at = random() % queued.size();
      spool.spool->finish({.sequence = queued[at], .status = 204});
      queued[at] = queued.back();
      queued.pop_back();
    }
    if (random() % 4 == 0) spool.commit();
    if (random() % 8 == 0) spool.crash(), queued.clear();  // what was not recorded is queued still
    if (random() % 8 == 0) spool.reopen();
    spool.clocks.pass(static_cast<std::int64_t>(random() % 1000));
  }
  spool.crash();
  for (int asked = 0; asked < 300; ++asked) REQUIRE(spool.knows(random() % stored));
  CHECK(spool.conserved());
}

}  // namespace twinspool
