// What came in and went out of the queue between looks at the status, for curves and an ETA. Pure.
#pragma once

#include <deque>
#include <optional>

#include "util/json.h"
#include "util/time.h"

namespace twinspool::ops {

class RateHistory {
 public:
  static constexpr std::size_t kLooksMax = 60;

  void add(TimePoint now, const json::Document& status);

  const std::deque<double>& arrivals() const { return arrivals_; }      // a second, one value a look
  const std::deque<double>& departures() const { return departures_; }  // the same
  // Over all looks that are remembered; nullopt: the queue does not shrink, or there were not two looks.
  std::optional<double> seconds_to_empty() const;
  double arrivals_now() const;  // over the last few looks
  double departures_now() const;

 private:
  struct Look {
    TimePoint at;
    double queued = 0, arrived = 0, left = 0;
  };
  std::deque<Look> looks_;
  std::deque<double> arrivals_, departures_;
};

}  // namespace twinspool::ops
