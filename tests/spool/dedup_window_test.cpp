#include "spool/dedup_window.h"

#include <map>
#include <random>

#include "support/catch.h"

namespace twinspool {
namespace {

DedupWindow::Entry entry(std::uint64_t id, std::int64_t expires_ms = 100, std::uint64_t body = 1) {
  return {.key = {id, id * 7}, .body = body, .sequence = id, .expires_ms = expires_ms};
}

TEST_CASE("an accepted key is found until its time is over", "[spool][dedup]") {
  DedupWindow window;
  window.add(entry(1, 100));
  CHECK(window.find({1, 7}, 99)->sequence == 1);
  CHECK_FALSE(window.find({1, 7}, 100));
  CHECK_FALSE(window.find({2, 14}, 0));
  CHECK_FALSE(window.find({1, 14}, 0));
}

TEST_CASE("a key accepted again after its time gives the newer sequence", "[spool][dedup]") {
  DedupWindow window;
  window.add({.key = {1, 1}, .body = 1, .sequence = 1, .expires_ms = 10});
  window.add({.key = {1, 1}, .body = 2, .sequence = 2, .expires_ms = 30});
  CHECK(window.find({1, 1}, 20)->sequence == 2);
  window.expire(20);
  CHECK(window.size() == 1);
  CHECK(window.find({1, 1}, 20)->body == 2);
}

TEST_CASE("what a failed commit added is gone again, and nothing else", "[spool][dedup]") {
  DedupWindow window;
  for (std::uint64_t id = 1; id <= 5; ++id) window.add(entry(id));
  window.remove_newest(2);
  CHECK(window.find({3, 21}, 0));
  CHECK_FALSE(window.find({4, 28}, 0));
  CHECK_FALSE(window.find({5, 35}, 0));
  CHECK(window.size() == 3);
}

TEST_CASE("the oldest entry makes room above the limit", "[spool][dedup]") {
  DedupWindow window(3);
  for (std::uint64_t id = 1; id <= 4; ++id) window.add(entry(id));
  CHECK(window.size() == 3);
  CHECK_FALSE(window.find({1, 7}, 0));
  CHECK(window.find({4, 28}, 0));
}

TEST_CASE("the window agrees with a map over any history", "[spool][dedup]") {
  std::mt19937_64 random(GENERATE(range(1, 6)));
  DedupWindow window(300);
  std::map<std::uint64_t, std::int64_t> model;  // id → expiry
  std::vector<std::uint64_t> order;
  std::int64_t now = 0;
  for (int step = 0; step < 5000; ++step) {
    now += static_cast<std::int64_t>(random() % 3);
    const std::uint64_t id = random() % 400;
    // Few home slots, so that entries collide and move.
    const Digest128 key{id, id % 16};
    const auto known = model.find(id);
    const bool expected = known != model.end() && now < known->second;
    REQUIRE(window.find(key, now).has_value() == expected);
    if (!expected) {
      window.add({.key = key, .body = 0, .sequence = id, .expires_ms = now + 200});
      model[id] = now + 200;
      order.push_back(id);
      if (random() % 10 == 0) {
        window.remove_newest(1);
        model.erase(id);
        order.pop_back();
      }
    }
    if (random() % 5 == 0) window.expire(now);
  }
}

}  // namespace
}  // namespace twinspool
