#include "spool/dedup_window.h"

#include <algorithm>

namespace twinspool {

std::optional<DedupWindow::Entry> DedupWindow::find(const Digest128& key, std::int64_t uptime_ms) const {
  if (table_.empty()) return std::nullopt;
  for (std::size_t slot = home_of(key); table_[slot] != kFree; slot = (slot + 1) & (table_.size() - 1)) {
    const Entry& entry = at(table_[slot]);
    if (entry.key == key && uptime_ms < entry.expires_ms) return entry;
  }
  return std::nullopt;
}

void DedupWindow::add(const Entry& entry) {
  if (ring_.size() >= entries_max_) remove_oldest();
  if (table_.size() < 2 * (ring_.size() + 1)) grow();
  auto number = static_cast<std::uint32_t>(first_ + ring_.size());
  if (number == kFree) {  // after four billion entries: number them from 0 again
    first_ = 0;
    number = static_cast<std::uint32_t>(ring_.size());
    grow();
  }
  ring_.push_back(entry);
  insert(number);
}

void DedupWindow::remove_newest(std::size_t count) {
  for (; count > 0 && !ring_.empty(); --count) {
    erase(static_cast<std::uint32_t>(first_ + ring_.size() - 1));
    ring_.pop_back();
  }
}

void DedupWindow::expire(std::int64_t uptime_ms) {
  while (!ring_.empty() && ring_.front().expires_ms <= uptime_ms) remove_oldest();
}

std::vector<DedupWindow::Entry> DedupWindow::newest(std::size_t among, std::size_t count) const {
  const auto first = ring_.end() - static_cast<std::ptrdiff_t>(std::min(among, ring_.size()));
  return {first, first + static_cast<std::ptrdiff_t>(std::min({count, among, ring_.size()}))};
}

void DedupWindow::remove_oldest() {
  erase(first_);
  ring_.pop_front();
  ++first_;
}

void DedupWindow::insert(std::uint32_t number) {
  std::size_t slot = home_of(at(number).key);
  while (table_[slot] != kFree) slot = (slot + 1) & (table_.size() - 1);
  table_[slot] = number;
}

void DedupWindow::erase(std::uint32_t number) {
  const std::size_t mask = table_.size() - 1;
  std::size_t hole = home_of(at(number).key);
  while (table_[hole] != number) hole = (hole + 1) & mask;
  // What follows moves up where its probe sequence would otherwise meet the hole, so no tombstones pile up.
  for (std::size_t next = (hole + 1) & mask; table_[next] != kFree; next = (next + 1) & mask) {
    const std::size_t home = home_of(at(table_[next]).key);
    const bool reaches_hole = ((next - home) & mask) >= ((next - hole) & mask);
    if (!reaches_hole) continue;
    table_[hole] = table_[next];
    hole = next;
  }
  table_[hole] = kFree;
}

void DedupWindow::grow() {
  std::size_t slots = 64;
  while (slots < 3 * (ring_.size() + 1)) slots *= 2;
  table_.assign(slots, kFree);
  for (std::size_t i = 0; i < ring_.size(); ++i) insert(static_cast<std::uint32_t>(first_ + i));
}

}  // namespace twinspool
