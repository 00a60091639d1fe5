#include "admin/lane_routes.h"

#include "support/catch.h"
#include "util/json.h"

namespace twinspool::admin {

TEST_CASE("each lane that waits is told with its twin, since when, until when and why", "[admin][lanes]") {
  LaneFacts facts{.ready = 3,
                  .in_flight = 2,
                  .held = 1,
                  .retrying = 7,
                  .waiting = {{.twin = 5,
                               .held = true,
                               .status = 404,
                               .error_code = "DigitalTwinNotFound",
                               .failures = 4,
                               .waits_for = std::chrono::minutes(1),
                               .retry_in = std::chrono::milliseconds(1500)},
                              {.twin = 6, .held = false, .status = 500, .error_code = "", .failures = 1}},
                  .now = from_unix_ms(1'764'000'000'000)};
  const auto answer = json::Document::parse(lanes_json(facts, {{5, "pump%2F1"}}));
  REQUIRE(answer);
  const auto is = [&](const char* path, const char* text) { CHECK(answer->value(path).value_or("absent") == text); };
  is("held", "1");
  is("retrying", "7");
  is("ready", "3");
  is("in_flight", "2");
  CHECK(answer->size("lanes") == 2);
  is("lanes.0.twin", "pump%2F1");
  is("lanes.0.state", "held");
  is("lanes.0.since", "2025-11-24T15:59:00.000Z");
  is("lanes.0.retry_at", "2025-11-24T16:00:01.500Z");
  is("lanes.0.last_status", "404");
  is("lanes.0.last_code", "DigitalTwinNotFound");
  is("lanes.0.failures", "4");
  is("lanes.1.twin", "");  // not in the store any more
  is("lanes.1.state", "retrying");
}

}  // namespace twinspool::admin
