// The two clocks, and where each may be read.
//
// TimePoint is monotonic: every deadline, delay and age inside the process. WallTime is for people, certificates and
// records; it may jump by fifty years when a gateway without a battery clock first hears NTP, so nothing is ordered or
// timed by it. Pure code takes the time as an argument; only the event loop, the writer thread and main read a clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace twinspool {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

constexpr TimePoint kNever = TimePoint::max();

constexpr std::int64_t to_ms(Duration duration) { return duration / std::chrono::milliseconds(1); }  // cut off

TimePoint monotonic_now();
WallTime wall_now();

// Milliseconds since boot, suspended time included (CLOCK_BOOTTIME): comparable only within one boot id.
std::int64_t uptime_ms();

// The kernel's id of this boot: the environment's TWINSPOOL_BOOT_ID (the unit sets it, because its sandbox hides
// /proc/sys), else /proc/sys/kernel/random/boot_id. Without dashes, so that both give the same text; empty where
// neither can be read.
std::string boot_id();

// Whether something keeps the wall clock right: systemd-timesyncd's mark, or the kernel's own state (adjtimex) where
// that may be read.
bool clock_synchronized();

std::int64_t to_unix_ms(WallTime time);
WallTime from_unix_ms(std::int64_t unix_ms);
std::string to_rfc3339(WallTime time);  // 2026-11-23T20:20:41.123Z

// False: the wall clock is from before this program was made, as that of a gateway without a battery is until NTP sets
// it.
bool clock_was_set(WallTime now);

// "3d 4h", "12.5s", "80ms": for people, two units at the most.
std::string to_human(Duration duration);

}  // namespace twinspool
