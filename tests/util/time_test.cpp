#include "util/time.h"

#include <cstdlib>

#include "support/catch.h"

using namespace twinspool;
using namespace std::chrono_literals;

TEST_CASE("wall time is written as RFC 3339 in UTC with milliseconds", "[util][time]") {
  CHECK(to_rfc3339(from_unix_ms(0)) == "1970-01-01T00:00:00.000Z");
  CHECK(to_rfc3339(from_unix_ms(1'700'000'000'123)) == "2023-11-14T22:13:20.123Z");
  CHECK(to_rfc3339(from_unix_ms(951'782'399'999)) == "2000-02-28T23:59:59.999Z");
  CHECK(to_rfc3339(from_unix_ms(951'782'400'000)) == "2000-02-29T00:00:00.000Z");
  CHECK(to_rfc3339(from_unix_ms(-1)) == "1969-12-31T23:59:59.999Z");
  CHECK(to_unix_ms(from_unix_ms(1'700'000'000'123)) == 1'700'000'000'123);
}

TEST_CASE("a clock that says 1970 was never set", "[util][time]") {
  CHECK_FALSE(clock_was_set(from_unix_ms(600'000)));
  CHECK(clock_was_set(from_unix_ms(1'764'000'000'000)));
  CHECK(clock_was_set(wall_now()));
}

TEST_CASE("durations for people have two units at the most", "[util][time]") {
  CHECK(to_human(0ns) == "0us");
  CHECK(to_human(250us) == "250us");
  CHECK(to_human(80ms) == "80ms");
  CHECK(to_human(999'999us) == "999ms");
  CHECK(to_human(1s) == "1s");
  CHECK(to_human(12'540ms) == "12.5s");
  CHECK(to_human(59'999ms) == "59.9s");
  CHECK(to_human(60s) == "1m");
  CHECK(to_human(303s) == "5m 3s");
  CHECK(to_human(4h + 10min + 59s) == "4h 10m");
  CHECK(to_human(76h + 5min) == "3d 4h");
  CHECK(to_human(48h) == "2d");
  CHECK(to_human(-5s) == "-5s");
  CHECK(to_human(Duration::min()) == to_human(-Duration::max()));
}

TEST_CASE("the boot id has no dashes, wherever it comes from", "[util][time]") {
  setenv("TWINSPOOL_BOOT_ID", "01234567-89ab-cdef-0123-456789abcdef", 1);
  CHECK(boot_id() == "0123456789abcdef0123456789abcdef");
  setenv("TWINSPOOL_BOOT_ID", "fedcba98765432100123456789abcdef", 1);
  CHECK(boot_id() == "fedcba98765432100123456789abcdef");
  unsetenv("TWINSPOOL_BOOT_ID");
  const std::string kernels = boot_id();
  CHECK(kernels.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(kernels == boot_id());
}

TEST_CASE("neither clock of this boot runs backwards", "[util][time]") {
  const TimePoint first = monotonic_now();
  const std::int64_t uptime = uptime_ms();
  CHECK(uptime > 0);
  CHECK(monotonic_now() >= first);
  CHECK(uptime_ms() >= uptime);
}
