#include "support/standin_faults.h"

#include "support/catch.h"

namespace twinspool::test {

TEST_CASE("a plan is used up step by step and then forgotten", "[support][faults]") {
  FaultPlans plans;
  REQUIRE(plans.set("", "503,reset,ok", Fault{.retry_after = "2"}, false));

  const Fault first = plans.next("pump");
  CHECK(first.kind == FaultKind::status);
  CHECK(first.status == 503);
  CHECK(first.retry_after == "2");
  CHECK(plans.next("valve").kind == FaultKind::reset);
  CHECK(plans.next("pump").kind == FaultKind::none);
  CHECK(plans.empty());
  CHECK(plans.next("pump").kind == FaultKind::none);
}

TEST_CASE("a plan that repeats keeps its last step until it is cleared", "[support][faults]") {
  FaultPlans plans;
  REQUIRE(plans.set("pump", "429,hang", Fault{}, true));
  CHECK(plans.next("pump").status == 429);
  for (int i = 0; i < 3; ++i) CHECK(plans.next("pump").kind == FaultKind::hang);
  plans.clear();
  CHECK(plans.next("pump").kind == FaultKind::none);
}

TEST_CASE("a twin's own plan goes before the plan for all and leaves it untouched", "[support][faults]") {
  FaultPlans plans;
  REQUIRE(plans.set("", "500", Fault{}, false));
  REQUIRE(plans.set("pump", "404", Fault{}, false));
  CHECK(plans.next("pump").status == 404);
  CHECK(plans.next("pump").status == 500);
}

TEST_CASE("a step that is no step is refused by name and changes nothing", "[support][faults]") {
  FaultPlans plans;
  for (const std::string steps : {"503,explode", "99", "600", "", "503x"}) {
    INFO(steps);
    const Result<void> set = plans.set("", steps, Fault{}, false);
    REQUIRE_FALSE(set);
    CHECK(set.error().code == Errc::invalid);
    CHECK(plans.empty());
  }
  CHECK(plans.set("", "explode", Fault{}, false).error().what.find("'explode'") != std::string::npos);
}

}  // namespace twinspool::test
