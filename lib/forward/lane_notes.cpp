#include "forward/lane_notes.h"

#include <algorithm>

namespace twinspool::forward {

LaneNotes::LaneNotes(Spool& spool) : spool_(spool) {
  for (const auto& [twin, old] : spool.lane_notes()) old_[twin] = old.state == "held" ? old.since_ms : 0;
}

void LaneNotes::write(TwinNumber twin, const Lanes::Wait& wait, const Lanes::Waiting& waiting, const Clocks& clocks) {
  const std::int64_t now_ms = to_unix_ms(clocks.wall);
  const auto ms = [](Duration duration) { return duration / std::chrono::milliseconds(1); };
  old_.erase(twin);
  spool_.note_lane({.twin = twin,
                    .state = wait.held ? "held" : "retrying",
                    .since_ms = now_ms - ms(clocks.now - waiting.since),
                    .retry_at_ms = now_ms + ms(waiting.retry_at - clocks.now),
                    .status = wait.status,
                    .error_code = wait.error_code});
}

void LaneNotes::end(TwinNumber twin) { spool_.note_lane({.twin = twin, .state = {}, .error_code = {}}); }

void LaneNotes::delivered(TwinNumber twin) {
  if (!old_.empty() && old_.erase(twin) > 0) end(twin);
}

void LaneNotes::ended(const std::vector<TwinNumber>& twins) {
  for (const TwinNumber twin : twins) end(twin);
}

void LaneNotes::nothing_waits() {
  for (const auto& [twin, since_ms] : old_) end(twin);
  old_.clear();
}

Duration LaneNotes::held_before(TwinNumber twin, WallTime wall) const {
  const auto old = old_.find(twin);
  if (old == old_.end() || !clock_was_set(from_unix_ms(old->second))) return Duration::zero();
  return std::max<Duration>(wall - from_unix_ms(old->second), Duration::zero());
}

}  // namespace twinspool::forward
