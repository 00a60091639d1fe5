// The last hour of the queue, for the page: in memory only, so it begins with the process. Pure: time is an
// argument; but for the route.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "admin/admin_server.h"
#include "spool/spool.h"
#include "util/time.h"

namespace twinspool::admin {

constexpr Duration kHistoryEvery = std::chrono::seconds(10);
constexpr Duration kHistoryOver = std::chrono::hours(1);

class History {
 public:
  // Keeps a sample every kHistoryEvery, however often it is called.
  void add(TimePoint now, WallTime wall, const SpoolStats& spool);

  // {"columns":[names],"rows":[[numbers]]}, the oldest first: the samples after that of `number`, which counts from 1
  // in each process. Ages instead of points in time: the clock of a gateway may be wrong, and may be set meanwhile.
  std::string json(TimePoint now, std::uint64_t after) const;

 private:
  struct Sample {
    TimePoint at;
    std::uint64_t number = 0;
    std::uint64_t queued = 0, oldest_age_seconds = 0, accepted = 0, delivered = 0, quarantined = 0, dropped = 0;
  };
  std::deque<Sample> samples_;  // at most kHistoryOver / kHistoryEvery + 1
};

// GET /history[?after=N]: json(). `history` and `loop` outlive the requests to `admin`. Loop thread.
void add_history_route(AdminServer& admin, const History& history, const net::EventLoop& loop);

}  // namespace twinspool::admin
