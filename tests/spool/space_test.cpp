#include "spool/space.h"

#include "support/catch.h"

namespace twinspool {
namespace {

StoreConfig limits(std::uint64_t size, std::uint64_t messages, std::uint64_t min_free) {
  StoreConfig config;
  config.max_size = size;
  config.max_messages = messages;
  config.min_free = min_free;
  return config;
}

TEST_CASE("no limit refuses nothing", "[spool][space]") {
  SpaceGate gate(limits(0, 0, 0));
  CHECK_FALSE(gate.admit({1, 1000}, {1'000'000'000, UINT64_MAX / 2, 0}, 0));
}

TEST_CASE("a full queue opens again only with 5 % of room, and says which key and figures", "[spool][space]") {
  SpaceGate gate(limits(1000, 0, 0));
  CHECK_FALSE(gate.admit({1, 100}, {1, 900}, 0));
  const auto refused = gate.admit({1, 101}, {1, 900}, 0);
  REQUIRE(refused);
  CHECK(refused->why == Refusal::queue_full);
  CHECK(refused->what == "the queue holds 900 bytes, store.max_size is 1000");
  CHECK(refused->retry_after > Duration{});
  CHECK(gate.closed(0));
  CHECK(gate.admit({1, 10}, {1, 941}, 0));
  CHECK_FALSE(gate.admit({1, 10}, {1, 940}, 0));
  CHECK_FALSE(gate.closed(0));
}

TEST_CASE("the limit of messages counts the whole batch", "[spool][space]") {
  SpaceGate gate(limits(0, 100, 0));
  CHECK(gate.admit({11, 1}, {90, 1}, 0)->what == "the queue holds 90 messages, store.max_messages is 100");
  CHECK_FALSE(gate.admit({5, 1}, {90, 1}, 0));
}

TEST_CASE("the file system's reserve is left alone until a MiB more is free", "[spool][space]") {
  SpaceGate gate(limits(0, 0, 10 * kMiB));
  CHECK_FALSE(gate.admit({1, 1}, {0, 0, 10 * kMiB}, 0));
  CHECK(gate.admit({1, 1}, {0, 0, 10 * kMiB - 1}, 0)->why == Refusal::disk_full);
  CHECK(gate.admit({1, 1}, {0, 0, 11 * kMiB - 1}, 0));
  CHECK_FALSE(gate.admit({1, 1}, {0, 0, 11 * kMiB}, 0));
}

TEST_CASE("a WAL at its limit takes in nothing and names who reads", "[spool][space]") {
  SpaceGate gate(limits(400 * kMiB, 0, 0));
  gate.wal_holds(100 * kMiB - 1, 4711);
  CHECK_FALSE(gate.admit({1, 1}, {}, 0));
  gate.wal_holds(100 * kMiB, 4711);
  const auto refused = gate.admit({1, 1}, {}, 0);
  REQUIRE(refused);
  CHECK(refused->why == Refusal::storage);
  CHECK(refused->what.find("4711") != std::string::npos);
  CHECK(refused->retry_after > Duration{});
  CHECK(gate.closed(0));
  CHECK_FALSE(gate.closed_by_disk());
  gate.wal_holds(0, 0);
  CHECK_FALSE(gate.admit({1, 1}, {}, 0));
  gate.set_limits(limits(0, 0, 0));
  gate.wal_holds(1024 * kMiB - 1, 0);
  CHECK_FALSE(gate.admit({1, 1}, {}, 0));
}

TEST_CASE("a disk that was full is tried again after a second", "[spool][space]") {
  SpaceGate gate(limits(0, 0, 0));
  gate.disk_was_full(5000);
  CHECK(gate.admit({1, 1}, {}, 5999)->why == Refusal::disk_full);
  CHECK_FALSE(gate.admit({1, 1}, {}, 6000));
}

}  // namespace
}  // namespace twinspool
