// What the store keeps about lanes that wait: for operators (view `lanes`), and for the next forwarder, of this process
// after a reload or of another one, which learns from it how long a twin was held before. Loop thread. Notes are best
// effort, written with the next commit.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "forward/lanes.h"
#include "spool/spool.h"
#include "util/time.h"

namespace twinspool::forward {

struct Clocks {  // one moment, by both
  TimePoint now{};
  WallTime wall{};
};

class LaneNotes {
 public:
  explicit LaneNotes(Spool& spool);  // which outlives it

  void write(TwinNumber twin, const Lanes::Wait& wait, const Lanes::Waiting& waiting, const Clocks& clocks);
  // The clock was set since the lane's note was written: what that says would make a later start believe that the twin
  // was held for months.
  bool is_off(TwinNumber twin, const Lanes::Waiting& waiting, const Clocks& clocks) const;
  void delivered(TwinNumber twin);  // ends the note of an earlier forwarder
  void ended(const std::vector<TwinNumber>& twins);
  void nothing_waits();  // ends all notes of earlier forwarders

  // How long an earlier forwarder held the lane. A note from a time before the clock was set, or from the future,
  // counts as new.
  Duration held_before(TwinNumber twin, WallTime wall) const;

 private:
  void end(TwinNumber twin);

  Spool& spool_;
  std::unordered_map<TwinNumber, std::int64_t> old_;  // twin → since_ms, of an earlier forwarder; 0: not held
  std::unordered_map<TwinNumber, std::int64_t> own_;  // the same, as this one has written it
};

}  // namespace twinspool::forward
