#include "ops/send.h"

#include <regex>

#include "support/catch.h"

using namespace twinspool;
using namespace twinspool::ops;

namespace {
http::Response answer(int status, http::Headers headers, std::string body = "") {
  http::Response response;
  response.status = status;
  response.headers = std::move(headers);
  response.body = std::move(body);
  return response;
}
}  // namespace

TEST_CASE("everything but unreserved characters is percent-encoded", "[ops][send]") {
  CHECK(percent_encoded("pump-17_a.b~C") == "pump-17_a.b~C");
  CHECK(percent_encoded("it's (1)!*") == "it's%20(1)!*");
  CHECK(percent_encoded("a/b?c#d e%2F") == "a%2Fb%3Fc%23d%20e%252F");
  CHECK(percent_encoded("\u00E9\n") == "%C3%A9%0A");
}

TEST_CASE("generated ids are UUIDs of version 4, and differ", "[ops][send]") {
  static const std::regex uuid("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  for (int i = 0; i < 50; ++i) CHECK(std::regex_match(random_uuid(), uuid));
  CHECK(random_uuid() != random_uuid());
}

TEST_CASE("a message becomes the cloud's own request", "[ops][send]") {
  const auto plain = telemetry_request({.twin = "hall 1/pump"}, "id-1", "{}");
  REQUIRE(plain);
  CHECK(plain->method == "POST");
  CHECK(plain->target == "/digitaltwins/hall%201%2Fpump/telemetry?api-version=2023-10-31");
  CHECK(plain->headers.get("message-id") == "id-1");
  CHECK(plain->headers.get("content-type") == "application/json");
  CHECK(plain->headers.get("telemetry-source-time") == std::nullopt);
  CHECK(plain->body == "{}");

  const auto full =
      telemetry_request({.twin = "p", .component = "m", .source_time = "2026-01-01T00:00:00Z"}, "i", "{}");
  REQUIRE(full);
  CHECK(full->target == "/digitaltwins/p/components/m/telemetry?api-version=2023-10-31");
  CHECK(full->headers.get("telemetry-source-time") == "2026-01-01T00:00:00Z");
}

TEST_CASE("arguments that cannot be sent are refused before anything is sent", "[ops][send]") {
  CHECK_FALSE(telemetry_request({.twin = ""}, "i", "{}"));
  CHECK_FALSE(telemetry_request({.twin = "p"}, "i\r\nX: y", "{}"));
  CHECK_FALSE(telemetry_request({.twin = "p", .source_time = "a\nb"}, "i", "{}"));
}

TEST_CASE("a 204 is reported with its sequence, and a duplicate as one", "[ops][send]") {
  const auto fresh = report_of(answer(204, {{"Twinspool-Sequence", "42"}}), "i", false);
  CHECK(fresh.code == kDone);
  CHECK(fresh.text == "42");
  const http::Headers twice{{"Twinspool-Sequence", "7"}, {"Twinspool-Duplicate", "true"}};
  CHECK(report_of(answer(204, twice), "i", false).text == "7 duplicate");
  CHECK(report_of(answer(204, twice), "i\"", true).text == R"({"sequence":7,"duplicate":true,"message_id":"i\""})");
  CHECK(report_of(answer(204, {{"Twinspool-Sequence", "7,\"x\":1"}}), "i", true).text ==
        R"({"sequence":null,"duplicate":false,"message_id":"i"})");
}

TEST_CASE("a refusal is reported with the server's code, message and when to try again", "[ops][send]") {
  const auto refused = report_of(
      answer(503, {{"Retry-After", "5"}}, R"({"error":{"code":"Unavailable","message":"the inbox is full"}})"), "i",
      true);
  CHECK(refused.code == kFailed);
  CHECK(refused.text == "refused with 503 Unavailable: the inbox is full (try again in 5 s)");
  CHECK(report_of(answer(404, {}, "<html>"), "i", false).text == "refused with 404 Not Found");
}
