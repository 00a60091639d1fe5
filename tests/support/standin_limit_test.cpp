#include "support/standin_limit.h"

#include "support/catch.h"

namespace twinspool::test {

TEST_CASE("so many requests of a second are admitted, and the next second begins anew", "[support][limit]") {
  using namespace std::chrono_literals;
  RequestLimit limit;
  limit.set(2);
  const TimePoint t0 = TimePoint{} + 100s;
  CHECK(limit.admit(t0));
  CHECK(limit.admit(t0 + 1ms));
  CHECK_FALSE(limit.admit(t0 + 999ms));
  CHECK(limit.admit(t0 + 1s));
  limit.set(0);
  for (int n = 0; n < 10; ++n) CHECK(limit.admit(t0 + 5s));

  REQUIRE(limit.seconds().size() == 3);
  CHECK(limit.seconds()[0].second == 100);
  CHECK(limit.seconds()[0].asked == 3);
  CHECK(limit.seconds()[0].refused == 1);
  CHECK(limit.seconds()[1].asked == 1);
  CHECK(limit.seconds()[2].second == 105);
  CHECK(limit.seconds()[2].refused == 0);
}

}  // namespace twinspool::test
