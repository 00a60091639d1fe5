// The stand-in cloud's rate limit, and its memory of how much it was asked in each second. Pure.
#pragma once

#include <cstdint>
#include <deque>

#include "util/time.h"

namespace twinspool::test {

class RequestLimit {
 public:
  struct Second {
    std::int64_t second = 0;  // of the clock that admit() is given
    std::uint64_t asked = 0;
    std::uint64_t refused = 0;  // of these
  };

  void set(std::uint64_t per_second) { per_second_ = per_second; }  // 0: none

  bool admit(TimePoint now) {  // counts in whole seconds, as services do
    const std::int64_t second = now.time_since_epoch() / std::chrono::seconds(1);
    if (seconds_.empty() || seconds_.back().second != second) {
      seconds_.push_back({.second = second});
      if (seconds_.size() > kSecondsMax) seconds_.pop_front();
    }
    Second& current = seconds_.back();
    ++current.asked;
    const bool admitted = per_second_ == 0 || current.asked <= per_second_;
    current.refused += admitted ? 0 : 1;
    return admitted;
  }

  const std::deque<Second>& seconds() const { return seconds_; }  // those in which something was asked

 private:
  static constexpr std::size_t kSecondsMax = 3600;
  std::uint64_t per_second_ = 0;
  std::deque<Second> seconds_;
};

}  // namespace twinspool::test
