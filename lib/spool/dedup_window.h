// Which messages were accepted lately, so that a sender's repetition is stored once. Pure: time is an argument.
//
// A ring in acceptance order with a hash table over it. An entry takes 40 bytes and, in the table, 8 to 16 more: at
// most 56 MB for the million entries that are ever kept; nothing is taken before it is needed.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "spool/telemetry.h"
#include "util/digest.h"

namespace twinspool {

constexpr std::size_t kDedupEntriesMax = 1'000'000;  // the oldest is forgotten before its time above it

class DedupWindow {
 public:
  struct Entry {
    Digest128 key;                // of twin, component and Message-Id: keyed, so nobody can make two look alike
    std::uint64_t body = 0;       // keyed digest of the body
    Sequence sequence = 0;        // given when it was accepted
    std::int64_t expires_ms = 0;  // uptime
  };

  explicit DedupWindow(std::size_t entries_max = kDedupEntriesMax) : entries_max_(entries_max) {}

  std::optional<Entry> find(const Digest128& key, std::int64_t uptime_ms) const;
  // It will be looked for soon: its place in the table, which is anywhere in megabytes, is fetched meanwhile.
  void expect(const Digest128& key) const {
    if (!table_.empty()) __builtin_prefetch(&table_[home_of(key)]);
  }
  void add(const Entry& entry);
  void remove_newest(std::size_t count);  // the commit that would have stored them failed
  void expire(std::int64_t uptime_ms);    // gives memory back; `find` does not depend on it
  std::size_t size() const { return ring_.size(); }
  // In sequence order, of the newest `among`: the oldest `count`.
  std::vector<Entry> newest(std::size_t among, std::size_t count) const;

 private:
  std::size_t home_of(const Digest128& key) const { return static_cast<std::size_t>(key.low) & (table_.size() - 1); }
  const Entry& at(std::uint32_t number) const { return ring_[number - first_]; }
  void remove_oldest();
  void insert(std::uint32_t number);
  void erase(std::uint32_t number);
  void grow();

  static constexpr std::uint32_t kFree = UINT32_MAX;
  std::size_t entries_max_;
  std::deque<Entry> ring_;
  std::uint32_t first_ = 0;           // number of the ring's oldest entry; numbers wrap around and skip kFree's place
  std::vector<std::uint32_t> table_;  // entry numbers, linear probing, never over half full
};

}  // namespace twinspool
