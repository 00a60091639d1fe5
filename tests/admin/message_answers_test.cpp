#include "admin/message_answers.h"

#include "support/catch.h"
#include "util/json.h"

namespace twinspool::admin {
namespace {

TEST_CASE("a point in time is RFC 3339 in any zone, or a duration back from now", "[admin]") {
  constexpr std::int64_t kNow = 1'780'000'000'000;
  CHECK(point_in_time("1970-01-01T00:00:01Z", kNow) == 1000);
  CHECK(point_in_time("1970-01-01T00:00:01.25Z", kNow) == 1250);
  CHECK(point_in_time("1970-01-01T02:00:00.123456+02:00", kNow) == 123);
  CHECK(point_in_time("1969-12-31T23:30:00-00:30", kNow) == 0);
  CHECK(point_in_time("2h", kNow) == kNow - 7'200'000);
  for (const char* text : {"", "yesterday", "0", "2026-11-23", "2026-13-01T00:00:00Z"})
    CHECK_FALSE(point_in_time(text, kNow));
}

TEST_CASE("a receipt says only what is known", "[admin]") {
  CHECK(whereabouts_json({}) == R"({"state":"unknown"})");
  const auto document = json::Document::parse(whereabouts_json(
      {.state = "delivered", .sequence = 7, .accepted_ms = 1000, .at_ms = 2000, .status = 204, .replay_of = 3}));
  REQUIRE(document);
  CHECK(document->value("at") == "1970-01-01T00:00:02.000Z");
  CHECK(document->integer("replay_of") == 3);
  CHECK_FALSE(document->value("reason"));
  CHECK_FALSE(document->value("retry_of"));
}

TEST_CASE("a look-up that took too long is answered with what to do instead", "[admin]") {
  const http::Response response = failure_response({Errc::timeout, "interrupted"});
  CHECK(response.status == 503);
  CHECK(response.body.find("twinspool snapshot") != std::string::npos);
}

}  // namespace
}  // namespace twinspool::admin
