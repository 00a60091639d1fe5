// How many waiting messages of a damaged store were not found. Pure.
//
// Its figures say how many wait below their next sequence. From there on (spool/figures.h) every sequence up to the
// newest that is found belongs to a message; what stood behind the newest one, if its page is gone, nothing tells.
#pragma once

#include <algorithm>
#include <cstdint>

#include "spool/telemetry.h"

namespace twinspool {

class LossCount {
 public:
  // What the figures say.
  LossCount(std::uint64_t queued, Sequence next_sequence) : queued_(queued), next_(next_sequence) {}

  void found(Sequence sequence, bool sound) {  // a damaged row's sequence may be damaged, too
    ++(sequence < next_ ? below_ : beyond_);
    if (sound) newest_ = std::max(newest_, sequence);
  }
  std::uint64_t lost() const {
    const std::uint64_t appended = newest_ < next_ ? 0 : newest_ - next_ + 1;
    return missing(queued_, below_) + missing(appended, beyond_);
  }

 private:
  static std::uint64_t missing(std::uint64_t said, std::uint64_t found) { return said > found ? said - found : 0; }

  std::uint64_t queued_;
  Sequence next_;
  std::uint64_t below_ = 0, beyond_ = 0;
  Sequence newest_ = 0;
};

}  // namespace twinspool
