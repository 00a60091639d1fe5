// What a forwarder counts of its whole life, and hands to the next one: a reload makes a new forwarder, and a counter
// that an operator watches must not fall with it. Pure values.
#pragma once

#include <array>
#include <cstdint>

#include "forward/outcome.h"
#include "util/histogram.h"
#include "util/time.h"

namespace twinspool::forward {

class OfflineTime {  // how long the endpoint has been known to be bad, all episodes together
 public:
  void note(bool offline, TimePoint now) {
    if (offline == (since_ != kNever)) return;
    before_ = total(now);
    since_ = offline ? now : kNever;
  }
  Duration total(TimePoint now) const { return since_ == kNever ? before_ : before_ + (now - since_); }

 private:
  Duration before_{};
  TimePoint since_ = kNever;  // never: it is not offline
};

struct Totals {
  std::array<std::uint64_t, kFailureClasses> failures{};  // by FailureClass, every attempt counted
  DurationHistogram request_durations;                    // from sending to the whole answer, whatever it said
  OfflineTime offline;
};

}  // namespace twinspool::forward
