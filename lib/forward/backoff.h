// Delays between attempts: exponential with full jitter, so that a fleet that lost the cloud at one moment does not
// come back at one moment. Pure: the jitter comes from a seeded generator.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "config/config.h"
#include "util/time.h"

namespace twinspool::forward {

enum class Jitter : bool { none, full };  // none: for scripts/bench fleet, to show what it is good for

class Backoff {
 public:
  Backoff(const RetryConfig& config, std::uint64_t seed, Jitter jitter = Jitter::full)
      : config_(config), state_(seed), jitter_(jitter) {}

  // The most that the n-th failure in a row (from 1) may cost: initial × multiplier^(n-1), at most max.
  Duration ceiling(std::uint32_t failures) const {
    const double exponent = failures > 1 ? static_cast<double>(failures - 1) : 0;
    const double wanted = static_cast<double>(config_.initial.count()) * std::pow(config_.multiplier, exponent);
    const double most = static_cast<double>(config_.max.count());
    return wanted < most ? Duration(static_cast<Duration::rep>(wanted)) : config_.max;
  }

  // Anywhere up to the ceiling. What the server asked for is never undercut, and as it asks a whole fleet for the same,
  // spread over as much again, up to retry.max.
  Duration delay(std::uint32_t failures, Duration retry_after = Duration::zero()) {
    const Duration asked = std::max(retry_after, Duration::zero());
    return asked + fraction_of(std::max(ceiling(failures), std::min(asked, config_.max)));
  }

  // For what only a person can mend: between half of retry.max and all of it.
  Duration slow_delay() { return config_.max / 2 + fraction_of(config_.max / 2); }

  Duration fraction_of(Duration most) {  // anywhere from zero up to `most`
    if (jitter_ == Jitter::none) return most;
    const double share = static_cast<double>(next() >> 11) * 0x1.0p-53;  // [0, 1)
    return Duration(static_cast<Duration::rep>(static_cast<double>(most.count()) * share));
  }

 private:
  std::uint64_t next() {  // splitmix64: the same on every machine, unlike the distributions of <random>
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }

  RetryConfig config_;
  std::uint64_t state_;
  Jitter jitter_;
};

}  // namespace twinspool::forward
