#include "util/histogram.h"

#include <numeric>

#include "support/catch.h"

namespace twinspool {

using namespace std::chrono_literals;

TEST_CASE("a duration counts in the first bucket whose end it does not exceed", "[util][histogram]") {
  DurationHistogram durations;
  durations.add(100us);  // the end belongs to its bucket
  durations.add(101us);
  durations.add(30s);
  durations.add(31s);
  const auto& counts = durations.counts();
  CHECK(counts[0] == 1);
  CHECK(counts[1] == 1);
  CHECK(counts[DurationHistogram::kBounds.size() - 1] == 1);
  CHECK(counts.back() == 1);
  CHECK(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}) == 4);
  CHECK(durations.sum() == 61s + 201us);
}

TEST_CASE("the buckets are in order, so that Prometheus takes them", "[util][histogram]") {
  const auto& bounds = DurationHistogram::kBounds;
  CHECK(std::is_sorted(bounds.begin(), bounds.end(), std::less_equal<>()));
}

}  // namespace twinspool
