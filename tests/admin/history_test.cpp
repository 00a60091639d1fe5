#include "admin/history.h"

#include "support/catch.h"
#include "util/json.h"

namespace twinspool::admin {
namespace {

const WallTime kNoon = from_unix_ms(1'764'504'000'000);

SpoolStats spool_with(std::uint64_t queued) {
  SpoolStats spool;
  spool.queued_messages = queued;
  spool.accepted = queued + 5;
  spool.delivered = 3;
  spool.quarantined = 2;
  if (queued > 0) {
    spool.oldest = 6;
    spool.oldest_accepted_ms = to_unix_ms(kNoon - 90s);
  }
  return spool;
}

json::Document read(const History& history, TimePoint now, std::uint64_t after = 0) {
  auto document = json::Document::parse(history.json(now, after));
  REQUIRE(document.has_value());
  return std::move(*document);
}

std::int64_t cell(const json::Document& document, std::size_t row, const std::string& name) {
  for (std::size_t i = 0; i < document.size("columns"); ++i)
    if (document.value("columns." + std::to_string(i)) == name)
      return document.integer("rows." + std::to_string(row) + "." + std::to_string(i)).value_or(-1);
  FAIL("there is no column " + name);
  return -1;
}

}  // namespace

TEST_CASE("the history has a sample every ten seconds, however often it is called", "[admin][history]") {
  History history;
  const TimePoint start{1000s};
  for (int second = 0; second < 60; ++second)
    history.add(start + std::chrono::seconds(second), kNoon, spool_with(static_cast<std::uint64_t>(second)));
  const auto document = read(history, start + 60s);
  REQUIRE(document.size("rows") == 6);
  CHECK(cell(document, 0, "ms_ago") == 60'000);
  CHECK(cell(document, 5, "ms_ago") == 10'000);
  CHECK(cell(document, 5, "queued") == 50);
  CHECK(cell(document, 5, "accepted") == 55);
  CHECK(cell(document, 5, "delivered") == 3);
  CHECK(cell(document, 5, "quarantined") == 2);
  CHECK(cell(document, 5, "oldest_age_seconds") == 90);
  CHECK(cell(document, 0, "oldest_age_seconds") == 0);  // nothing waited
}

TEST_CASE("the history keeps an hour and no more", "[admin][history]") {
  History history;
  TimePoint now{1000s};
  for (int sample = 0; sample < 1000; ++sample) history.add(now += kHistoryEvery, kNoon, spool_with(1));
  const auto document = read(history, now);
  CHECK(document.size("rows") == 361);
  CHECK(cell(document, 0, "ms_ago") == 3'600'000);
  CHECK(cell(document, 360, "number") == 1000);
}

TEST_CASE("a reader of the history gets what it has not seen yet", "[admin][history]") {
  History history;
  TimePoint now{1000s};
  for (int sample = 0; sample < 5; ++sample) history.add(now += kHistoryEvery, kNoon, spool_with(1));
  const auto document = read(history, now, 3);
  REQUIRE(document.size("rows") == 2);
  CHECK(cell(document, 0, "number") == 4);
  CHECK(read(history, now, 5).size("rows") == 0);
}

TEST_CASE("a clock that was set back makes no negative age in the history", "[admin][history]") {
  History history;
  history.add(TimePoint{1s}, kNoon - 24h, spool_with(1));
  CHECK(cell(read(history, TimePoint{1s}), 0, "oldest_age_seconds") == 0);
}

}  // namespace twinspool::admin
