#include "ingest/retry_after.h"

#include <algorithm>

namespace twinspool::ingest {

namespace {

constexpr double kOpensBelow = 0.95;  // of a limit: spool/space.h

// Of what is queued, the part that must leave; 0: this limit is not what keeps it shut.
double part_to_leave(std::uint64_t queued, std::uint64_t limit) {
  if (limit == 0 || queued == 0) return 0;
  return std::max(0.0, 1 - kOpensBelow * static_cast<double>(limit) / static_cast<double>(queued));
}

}  // namespace

Duration retry_when_full(const SpoolStats& spool, const Outlook& outlook, const StoreConfig& limits) {
  const double part = std::max(part_to_leave(spool.queued_bytes, limits.max_size),
                               part_to_leave(spool.queued_messages, limits.max_messages));
  const double per_second = outlook.departures_per_second.value_or(0);
  if (part <= 0 || per_second <= 0) return kRetryWhenFullUnknown;
  const std::chrono::duration<double> wait(part * static_cast<double>(spool.queued_messages) / per_second);
  if (wait >= kRetryWhenFullMax) return kRetryWhenFullMax;
  return std::max(kRetryWhenFullMin, std::chrono::duration_cast<Duration>(wait));
}

}  // namespace twinspool::ingest
