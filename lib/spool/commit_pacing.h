// How long a commit waits for company. Pure: time is an argument.
//
// While one commit runs, the requests that arrive form the next. With slow syncs that halves the rate of a few clients:
// those answered by one commit miss the next by a moment. So a commit waits, for at most half of what a sync takes, for
// as many appends as the last commit makes expect: those it answered, who come back, and those who waited meanwhile. A
// lone client is all that is expected, so it never waits; and where the expected do not come, patience shrinks.
#pragma once

#include <algorithm>
#include <cstddef>

#include "util/time.h"

namespace twinspool {

class CommitPacing {
 public:
  // `linger`: store.commit_delay, kept whatever is expected.
  explicit CommitPacing(Duration linger = {}) : linger_(linger) {}
  void set_linger(Duration linger) { linger_ = linger; }

  // When to commit `waiting` appends, the first of which came at `first`.
  TimePoint due(std::size_t waiting, TimePoint first) const {
    const TimePoint lingered = first + linger_;
    if (waiting >= expected_) return lingered;
    const double share = patience_ * static_cast<double>(sync_typical_.count()) / 2;
    const Duration patience = std::min(kWaitMax, Duration(static_cast<Duration::rep>(share)));
    return std::max(lingered, std::max(first, free_since_) + patience);
  }

  // A commit of `answered` appends took `took` and ended at `now`, when `waiting` others had come.
  void committed(std::size_t answered, std::size_t waiting, Duration took, TimePoint now) {
    if (expected_ > 1)
      patience_ = answered >= expected_ ? std::min(1.0, patience_ * 2) : std::max(kPatienceMin, patience_ / 2);
    expected_ = std::max<std::size_t>(1, answered + waiting);
    sync_typical_ = sync_typical_ == Duration{} ? took : (sync_typical_ * 7 + took) / 8;
    free_since_ = now;
  }

  std::size_t expected() const { return expected_; }
  Duration sync_typical() const { return sync_typical_; }

 private:
  static constexpr Duration kWaitMax = std::chrono::milliseconds(50);
  static constexpr double kPatienceMin = 1.0 / 16;  // still tried, or it would never grow again
  Duration linger_;
  Duration sync_typical_{};
  std::size_t expected_ = 1;
  double patience_ = 1;
  TimePoint free_since_{};
};

}  // namespace twinspool
