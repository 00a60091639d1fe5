// How much may be sent in a second once the endpoint is well again, so that a fleet that comes back does not bury it.
// Pure: time is an argument.
//
// The rate begins at one message a step (forward.retry.initial, a second at the most) and doubles with each step, until
// after kRampDoublings of them nothing is limited any more: with the default of 500 ms from 2/s to 500/s in four
// seconds and without a limit after seven. Time does it, not answers: an endpoint that answers in a millisecond would
// see rounds of answers double within a blink.
//
// An endpoint that throttled during the ramp has told how much is too much. The ramp goes on from a rate somewhat below
// that, and grows slowly until it is as much above it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>

#include "util/time.h"

namespace twinspool::forward {

constexpr double kRampDoublings = 14;
constexpr double kRampLowest = -3;
constexpr double kThrottledBack = 0.5;       // in doublings: to 71 %
constexpr double kSlowStepsToDouble = 32.0;  // near the rate that was throttled

class Ramp {
 public:
  explicit Ramp(Duration step)
      : step_(std::clamp<Duration>(step, std::chrono::milliseconds(1), std::chrono::seconds(1))) {}

  void outage() { doublings_ = 0; }
  void throttled() {
    if (over()) return outage();  // how much was sent is not known
    throttled_at_ = doublings_;
    doublings_ = std::max(doublings_ - kThrottledBack, kRampLowest);
  }

  void begin(TimePoint now) {  // the endpoint is well
    now_ = now;
    tokens_ = 0;
  }
  std::size_t allowance(TimePoint now) {
    if (over()) return kUnlimited;
    if (now > now_) advance(now);
    return over() ? kUnlimited : static_cast<std::size_t>(tokens_);
  }
  void sent() { tokens_ -= 1; }
  TimePoint next() const {  // when allowance() is above zero, at the latest
    const double steps = std::max(1 - tokens_, 0.0) / per_step();
    return now_ + std::chrono::duration_cast<Duration>(steps * std::chrono::duration<double, Duration::period>(step_)) +
           std::chrono::milliseconds(1);
  }
  bool over() const { return doublings_ >= kRampDoublings; }

 private:
  static constexpr std::size_t kUnlimited = ~std::size_t{0};

  double per_step() const { return std::exp2(doublings_); }
  double burst() const {  // of a tenth of a second, as that of forward.rate
    return std::max(per_step() * (std::chrono::duration<double>(0.1) / step_), 1.0);
  }
  void advance(TimePoint now) {
    const double steps = std::chrono::duration<double>(now - now_) / step_;
    const double before = per_step();
    now_ = now;
    grow(steps);
    tokens_ = std::min(tokens_ + steps * (before + per_step()) / 2, burst());
  }
  void grow(double steps) {
    if (throttled_at_) {
      const double quick = std::clamp(*throttled_at_ - kThrottledBack - doublings_, 0.0, steps);
      const double room = std::max(*throttled_at_ + kThrottledBack - doublings_ - quick, 0.0);
      const double slow = std::min(room * kSlowStepsToDouble, steps - quick);
      doublings_ += quick + slow / kSlowStepsToDouble;
      steps -= quick + slow;
      if (steps <= 0) return;
      throttled_at_.reset();  // more than was throttled then goes through now
    }
    doublings_ = std::min(doublings_ + steps, kRampDoublings);
  }

  const Duration step_;
  double doublings_ = 0;
  std::optional<double> throttled_at_;
  double tokens_ = 0;
  TimePoint now_{};
};

}  // namespace twinspool::forward
