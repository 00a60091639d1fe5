#include "forward/lane_notes.h"

#include <algorithm>
#include <cstdlib>

namespace twinspool::forward {
namespace {

constexpr std::int64_t kClockIsOffMs = 60'000;

std::int64_t since_ms(const Lanes::Waiting& waiting, const Clocks& clocks) {
  return to_unix_ms(clocks.wall) - to_ms(clocks.now - waiting.since);
}

}  // namespace

LaneNotes::LaneNotes(Spool& spool) : spool_(spool) {
  for (const auto& [twin, old] : spool.lane_notes()) old_[twin] = old.state == "held" ? old.since_ms : 0;
}

void LaneNotes::write(TwinNumber twin, const Lanes::Wait& wait, const Lanes::Waiting& waiting, const Clocks& clocks) {
  old_.erase(twin);
  const std::int64_t since = own_[twin] = since_ms(waiting, clocks);
  spool_.note_lane({.twin = twin,
                    .state = wait.held ? "held" : "retrying",
                    .since_ms = since,
                    .retry_at_ms = to_unix_ms(clocks.wall) + to_ms(waiting.retry_at - clocks.now),
                    .status = wait.status,
                    .error_code = wait.error_code});
}

bool LaneNotes::is_off(TwinNumber twin, const Lanes::Waiting& waiting, const Clocks& clocks) const {
  const auto own = own_.find(twin);
  return own != own_.end() && std::abs(own->second - since_ms(waiting, clocks)) > kClockIsOffMs;
}

void LaneNotes::end(TwinNumber twin) {
  own_.erase(twin);
  spool_.note_lane({.twin = twin, .state = {}, .error_code = {}});
}

void LaneNotes::delivered(TwinNumber twin) {
  if (!old_.empty() && old_.erase(twin) > 0) end(twin);
}

void LaneNotes::ended(const std::vector<TwinNumber>& twins) {
  for (const TwinNumber twin : twins) end(twin);
}

void LaneNotes::nothing_waits() {
  for (const auto& [twin, since] : old_) end(twin);
  old_.clear();
}

Duration LaneNotes::held_before(TwinNumber twin, WallTime wall) const {
  const auto old = old_.find(twin);
  if (old == old_.end() || !clock_was_set(from_unix_ms(old->second))) return Duration::zero();
  return std::max<Duration>(wall - from_unix_ms(old->second), Duration::zero());
}

}  // namespace twinspool::forward
