#include "ops/lanes.h"

#include "support/catch.h"

namespace twinspool::ops {

namespace {

std::string rendered(const std::string& answer) {
  const auto document = json::Document::parse(answer);
  REQUIRE(document);
  return render_lanes(*document);
}

}  // namespace

TEST_CASE("a lane is a line with its trouble, and what is not listed is counted", "[ops][lanes]") {
  const std::string text =
      rendered(R"({"held":1,"retrying":2,"ready":3,"in_flight":4,"lanes":[)"
               R"({"twin":"pump","state":"held","waits_seconds":3600.5,"retry_in_seconds":42.9,"last_status":404,)"
               R"("last_code":"DigitalTwinNotFound","failures":9},)"
               R"({"twin":"a\u001b[2Jb","state":"retrying","waits_seconds":1,"retry_in_seconds":0,"last_status":0,)"
               R"("last_code":"","failures":1}]})");
  CHECK(text.find("pump") != std::string::npos);
  CHECK(text.find("1h") != std::string::npos);
  CHECK(text.find("42s") != std::string::npos);
  CHECK(text.find("HTTP 404 DigitalTwinNotFound") != std::string::npos);
  CHECK(text.find("no answer") != std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("... and 1 more") != std::string::npos);
  CHECK(text.find("1 held, 2 retrying, 3 ready, 4 in flight") != std::string::npos);
}

TEST_CASE("where every twin flows it says so", "[ops][lanes]") {
  CHECK(rendered(R"({"held":0,"retrying":0,"ready":2,"in_flight":1,"lanes":[]})") ==
        "no twin is held or waits for its next try; 2 ready, 1 in flight\n");
}

}  // namespace twinspool::ops
