// The clocks of the spool, so that a test or the simulation can be their master.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "util/time.h"

namespace twinspool {

struct SpoolClocks {  // read on the writer thread
  std::function<std::int64_t()> uptime_ms = [] { return twinspool::uptime_ms(); };
  std::function<std::int64_t()> wall_ms = [] { return to_unix_ms(wall_now()); };
  std::function<bool()> synchronized = [] { return clock_synchronized(); };
  std::string boot_id = twinspool::boot_id();
};

// When something happened, in terms that survive reboots and clocks that jump.
struct Moment {
  std::int64_t wall_ms = 0;
  std::int64_t boot = 0;  // number in the table boots
  std::int64_t uptime_ms = 0;
  bool clock_synced = false;
};

// How long ago `then` was. Within one boot the uptime knows; across boots the wall clock, if it was right both times;
// else nobody knows, and it counts from when the store was `opened`: too young rather than too old.
inline std::int64_t age_ms(const Moment& then, const Moment& now, const Moment& opened) {
  if (then.boot == now.boot) return now.uptime_ms - then.uptime_ms;
  if (then.clock_synced && now.clock_synced) return now.wall_ms > then.wall_ms ? now.wall_ms - then.wall_ms : 0;
  return now.uptime_ms - opened.uptime_ms;
}

}  // namespace twinspool
