// Many durations in bounded memory: exact below 128 µs, above with an error of at most 1/64. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace twinspool::ops {

class Latencies {
 public:
  void add(std::uint64_t microseconds, std::uint64_t times = 1);
  std::uint64_t count() const { return count_; }
  // The value that `part` (0 to 1) of them do not exceed; 0 where there is none.
  std::uint64_t quantile(double part) const;

 private:
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
};

}  // namespace twinspool::ops
