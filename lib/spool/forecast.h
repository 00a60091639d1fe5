// When the queue will be empty, and when it will be full, if things go on as they do. Pure: time is an argument.
//
// Rates are of messages: arrivals over the last five minutes, because senders report in bursts; departures over the
// last half minute, because an outage begins and ends at once. Where a limit counts bytes, the mean weight of what
// waits makes messages of them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "config/config.h"
#include "spool/spool.h"
#include "util/time.h"

namespace twinspool {

constexpr Duration kForecastEvery = 5s;  // how often add() is to be called
constexpr Duration kArrivalsOver = 5min;
constexpr Duration kDeparturesOver = 30s;

struct Outlook {
  std::optional<double> arrivals_per_second, departures_per_second;  // nullopt: not watched long enough
  std::optional<Duration> drain_eta;     // zero: empty; nullopt: it does not shrink, or nobody knows yet
  std::optional<Duration> time_to_full;  // zero: full; nullopt: it does not grow, has no limit, or nobody knows yet
};

class Forecast {
 public:
  void add(TimePoint now, const SpoolStats& spool);
  Outlook outlook(TimePoint now, const SpoolStats& spool, const StoreConfig& limits) const;

 private:
  struct Sample {
    TimePoint at;
    std::uint64_t arrived = 0, left = 0;
  };
  static Sample sample_of(TimePoint now, const SpoolStats& spool);
  const Sample* newest_before(TimePoint moment) const;

  std::deque<Sample> samples_;  // at most kArrivalsOver / kForecastEvery + 1
};

}  // namespace twinspool
