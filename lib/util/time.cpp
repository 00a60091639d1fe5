#include "util/time.h"

#include <fmt/format.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace twinspool {

using namespace std::chrono_literals;

TimePoint monotonic_now() { return std::chrono::steady_clock::now(); }

WallTime wall_now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::int64_t uptime_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

std::string boot_id() {
  std::string id;
  if (const char* given = std::getenv("TWINSPOOL_BOOT_ID")) id = given;
  if (id.empty()) {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::getline(file, id);
  }
  id.erase(std::remove(id.begin(), id.end(), '-'), id.end());  // systemd's %b has no dashes, the kernel's text has
  return id;
}

bool clock_synchronized() {
  if (access("/run/systemd/timesync/synchronized", F_OK) == 0) return true;
  timex state{};  // modes 0: only asks; EPERM under ProtectClock=yes
  return adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

bool clock_was_set(WallTime now) {
  constexpr std::int64_t kFloorMs = 1'735'689'600'000;  // 2025
  return to_unix_ms(now) >= kFloorMs;
}

std::int64_t to_unix_ms(WallTime time) { return time.time_since_epoch().count(); }

WallTime from_unix_ms(std::int64_t unix_ms) { return WallTime(std::chrono::milliseconds(unix_ms)); }

std::string to_rfc3339(WallTime time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

std::string to_human(Duration duration) {
  using namespace std::chrono;
  if (duration < Duration::zero()) {
    return fmt::format("-{}", to_human(duration == Duration::min() ? Duration::max() : -duration));
  }
  if (duration < 1ms) return fmt::format("{}us", duration_cast<microseconds>(duration).count());
  if (duration < 1s) return fmt::format("{}ms", duration_cast<milliseconds>(duration).count());
  if (duration < 1min) {
    const auto tenths = duration_cast<milliseconds>(duration).count() / 100;
    return tenths % 10 == 0 ? fmt::format("{}s", tenths / 10) : fmt::format("{}.{}s", tenths / 10, tenths % 10);
  }
  const auto two = [](std::int64_t big, const char* unit, std::int64_t small, const char* small_unit) {
    return small == 0 ? fmt::format("{}{}", big, unit) : fmt::format("{}{} {}{}", big, unit, small, small_unit);
  };
  const std::int64_t seconds_all = duration_cast<seconds>(duration).count();
  if (duration < 1h) return two(seconds_all / 60, "m", seconds_all % 60, "s");
  if (duration < 24h) return two(seconds_all / 3600, "h", seconds_all / 60 % 60, "m");
  return two(seconds_all / 86400, "d", seconds_all / 3600 % 24, "h");
}

}  // namespace twinspool
