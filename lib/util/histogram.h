// How long things took, counted in buckets: a few comparisons, no allocation, so cheap enough for every commit and
// every request. A value; one thread at a time.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "util/time.h"

namespace twinspool {

class DurationHistogram {
 public:
  // The upper ends of the buckets, each its own: from a fast disk's sync to the longest time-outs.
  static constexpr std::array<Duration, 17> kBounds = {
      std::chrono::microseconds(100), std::chrono::microseconds(250),  std::chrono::microseconds(500),
      std::chrono::milliseconds(1),   std::chrono::microseconds(2500), std::chrono::milliseconds(5),
      std::chrono::milliseconds(10),  std::chrono::milliseconds(25),   std::chrono::milliseconds(50),
      std::chrono::milliseconds(100), std::chrono::milliseconds(250),  std::chrono::milliseconds(500),
      std::chrono::seconds(1),        std::chrono::milliseconds(2500), std::chrono::seconds(5),
      std::chrono::seconds(10),       std::chrono::seconds(30)};

  void add(Duration took) {
    const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), took);
    ++counts_[static_cast<std::size_t>(bound - kBounds.begin())];
    sum_ += took;
  }

  // One for each bound, of what took longer than the bound before; the last: longer than every bound.
  const std::array<std::uint64_t, kBounds.size() + 1>& counts() const { return counts_; }
  Duration sum() const { return sum_; }

 private:
  std::array<std::uint64_t, kBounds.size() + 1> counts_{};
  Duration sum_{};
};

}  // namespace twinspool
