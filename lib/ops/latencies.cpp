#include "ops/latencies.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace twinspool::ops {
namespace {

constexpr std::uint64_t kExactBelow = 128;  // then 64 buckets for each doubling
constexpr unsigned kHalf = 64;

std::size_t bucket_of(std::uint64_t value) {
  if (value < kExactBelow) return static_cast<std::size_t>(value);
  const auto shift = static_cast<unsigned>(std::bit_width(value)) - 7;  // leaves 64 to 127
  return static_cast<std::size_t>(shift * kHalf + (value >> shift));
}

std::uint64_t largest_in(std::size_t bucket) {
  if (bucket < kExactBelow) return bucket;
  const std::size_t shift = bucket / kHalf - 1;
  return ((static_cast<std::uint64_t>(bucket % kHalf) + kHalf + 1) << shift) - 1;
}

}  // namespace

void Latencies::add(std::uint64_t microseconds, std::uint64_t times) {
  const std::size_t bucket = bucket_of(microseconds);
  if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
  buckets_[bucket] += times;
  count_ += times;
}

std::uint64_t Latencies::quantile(double part) const {
  const auto wanted =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    seen += buckets_[bucket];
    if (seen >= wanted) return largest_in(bucket);
  }
  return 0;
}

}  // namespace twinspool::ops
