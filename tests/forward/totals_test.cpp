#include "forward/totals.h"

#include "support/catch.h"

namespace twinspool::forward {

using namespace std::chrono_literals;

TEST_CASE("time offline adds up over its episodes, and only over them", "[forward][totals]") {
  const TimePoint start = TimePoint(100s);
  OfflineTime offline;
  CHECK(offline.total(start) == 0s);
  offline.note(false, start);
  offline.note(true, start + 10s);
  offline.note(true, start + 15s);  // still the same episode
  CHECK(offline.total(start + 20s) == 10s);
  offline.note(false, start + 30s);
  CHECK(offline.total(start + 90s) == 20s);
  offline.note(true, start + 100s);
  CHECK(offline.total(start + 101s) == 21s);
}

}  // namespace twinspool::forward
