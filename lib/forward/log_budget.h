// Keeps a burst of like events from flooding the log: so many lines a minute, and the next line says how many were left
// out. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "util/time.h"

namespace twinspool::forward {

class LogBudget {
 public:
  explicit LogBudget(std::uint32_t lines_max) : lines_max_(lines_max) {}

  // nullopt: write nothing. Else how many events were not written since the last line.
  std::optional<std::uint64_t> spend(TimePoint now) {
    if (now >= minute_ends_) {
      minute_ends_ = now + std::chrono::minutes(1);
      lines_ = 0;
    }
    if (lines_ == lines_max_) {
      ++left_out_;
      return std::nullopt;
    }
    ++lines_;
    const std::uint64_t left_out = left_out_;
    left_out_ = 0;
    return left_out;
  }

 private:
  const std::uint32_t lines_max_;
  std::uint32_t lines_ = 0;
  std::uint64_t left_out_ = 0;
  TimePoint minute_ends_ = TimePoint::min();
};

}  // namespace twinspool::forward
