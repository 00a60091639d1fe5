#include "spool/deduplication.h"

#include <algorithm>
#include <utility>

#include "util/log.h"

namespace twinspool {
namespace {

constexpr std::size_t kSegmentEntries = 4096;  // of a usual segment
// As many rows of the trace are read at a start at most, while fresh messages are few and a backlog drains.
constexpr std::uint64_t kDeparturesPerSegment = 16'384;

}  // namespace

Result<void> Deduplication::load(Store& store, Duration window) {
  window_ = DedupWindow{};
  unlogged_ = 0;
  departures_ = 0;
  const Result<bool> sound = log_.load(store, [&](const DedupWindow::Entry& entry) {
    if (window > Duration::zero()) window_.add(entry);
  });
  if (!sound) return tl::unexpected(sound.error());
  if (*sound) return load_rows(store, window);
  log::warn("store.window_segments", {{"note", "they are damaged: the window is read from the rows"}});
  return reload(store, window);
}

Result<void> Deduplication::reload(Store& store, Duration window) {
  window_ = DedupWindow{};
  unlogged_ = 0;
  departures_ = 0;
  Result<void> cleared = store.begin();
  if (cleared) cleared = log_.clear(store);
  if (cleared) cleared = store.commit();
  if (!cleared) {
    store.rollback();
    log_.rolled_back();
    return cleared;
  }
  log_.committed();
  return load_rows(store, window);
}

Result<void> Deduplication::load_rows(Store& store, Duration window) {
  const std::int64_t window_ms = std::chrono::duration_cast<std::chrono::milliseconds>(window).count();
  const Sequence newest = store.figures().next_sequence - 1;
  if (window_ms <= 0 || newest <= log_.covers().through) return {};
  const Moment& opened = store.opened();
  std::vector<DedupWindow::Entry> entries;
  const auto visit = [&](const Store::Known& known) {
    if (age_ms(known.left, opened, opened) >= window_ms) return false;  // what follows is older still
    const std::int64_t age = age_ms(known.accepted, opened, opened);
    if (age < window_ms && !known.put_back && known.sequence > log_.covers().through)
      entries.push_back({digester_.digest128({known.twin, known.component, known.message_id}), known.body_digest,
                         known.sequence, opened.uptime_ms + window_ms - age});
    return entries.size() < kDedupEntriesMax;
  };
  if (Result<void> visited = store.visit_queued(log_.covers().through, visit); !visited) return visited;
  std::vector<DedupWindow::Entry> queued = std::move(entries);
  entries = {};
  // A trace that counts from the start again tells nothing by its numbers.
  const Result<std::int64_t> newest_left = store.database().integer("SELECT max(n) FROM trace");
  if (!newest_left) return tl::unexpected(newest_left.error());
  const std::int64_t after = *newest_left < log_.covers().trace_n ? 0 : log_.covers().trace_n;
  if (Result<void> visited = store.visit_left(after, visit); !visited) return visited;
  entries.insert(entries.end(), queued.begin(), queued.end());
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
  for (const DedupWindow::Entry& entry : entries) window_.add(entry);
  unlogged_ = std::min(entries.size(), window_.size());
  return {};
}

Deduplication::Key Deduplication::key_of(const Telemetry& message) {
  return {digester_.digest128({message.twin, message.component, message.message_id}), body_digest(message)};
}

std::optional<DedupWindow::Entry> Deduplication::find(const Key& key, std::int64_t uptime_ms) const {
  return window_.find(key.id, uptime_ms);
}

void Deduplication::expire(std::int64_t uptime_ms) {
  window_.expire(uptime_ms);
  unlogged_ = std::min(unlogged_, window_.size());
}

void Deduplication::add(const Key& key, Sequence sequence, std::int64_t expires_ms) {
  window_.add({key.id, key.body, sequence, expires_ms});
  ++added_;
  ++unlogged_;
}

void Deduplication::take_back(std::size_t count) {
  window_.remove_newest(count);
  added_ -= count;
  unlogged_ -= std::min(unlogged_, count);
}

Result<void> Deduplication::write(Store& store, std::size_t departures, const Moment& at) {
  departures_ += departures;
  const bool due = unlogged_ >= kSegmentEntries || (unlogged_ > 0 && departures_ >= kDeparturesPerSegment);
  if (!due) return {};
  const std::size_t count = std::min(unlogged_, kSegmentEntriesMax);
  const std::size_t left = unlogged_ - count;
  Result<void> appended = log_.append(store, window_.newest(unlogged_, count), left == 0, at);
  if (!appended) return appended;
  unlogged_before_ = unlogged_;
  unlogged_ = left;
  wrote_ = true;
  return {};
}

void Deduplication::committed() {
  log_.committed();
  if (std::exchange(wrote_, false) && unlogged_ == 0) departures_ = 0;
}

void Deduplication::rolled_back() {
  log_.rolled_back();
  if (std::exchange(wrote_, false)) unlogged_ = unlogged_before_;
  take_back(added_);
}

}  // namespace twinspool
