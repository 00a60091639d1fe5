#include "ingest/telemetry_api.h"

#include <string>
#include <utility>

#include "ingest/text.h"
#include "support/catch.h"
#include "util/json.h"

namespace twinspool::ingest {
namespace {

constexpr const char* kUuid = "e5ca50dd-ca31-4fae-8d84-3af5a72b10c5";
constexpr const char* kTarget = "/digitaltwins/myTwinId/telemetry?api-version=2023-10-31";
const WallTime kNow = from_unix_ms(1'800'000'000'123);

http::Request request_to(std::string target, std::string body = "{\"temperature\":1}") {
  return {.method = "POST",
          .target = std::move(target),
          .headers = {{"Message-Id", kUuid}, {"Content-Type", "application/json"}},
          .body = std::move(body)};
}

http::Request request_with(std::initializer_list<std::pair<std::string_view, std::string_view>> headers) {
  http::Request request = request_to(kTarget);
  request.headers = http::Headers(headers);
  return request;
}

http::Request request_with_id(std::string_view message_id, std::string body = "{}") {
  http::Request request = request_with({{"Message-Id", message_id}, {"Content-Type", "application/json"}});
  request.body = std::move(body);
  return request;
}

http::Request request_for(const std::string& twin) {
  return request_to("/digitaltwins/" + twin + "/telemetry?api-version=2023-10-31");
}

http::Request plus(http::Request request, std::string_view name, std::string_view value) {
  request.headers.add(name, value);
  return request;
}

Telemetry accepted(http::Request request, const IngestConfig& config = {}) {
  auto result = read_telemetry(std::move(request), config, kNow);
  if (!result) FAIL(result.error().status << " " << result.error().message);
  return result->telemetry;
}

// The refusal, which a head that is refused gets before its body is read.
ApiError refused(const http::Request& request, const IngestConfig& config = {}) {
  const auto at_head = check_head(request, config);
  auto result = read_telemetry(http::Request(request), config, kNow);
  REQUIRE_FALSE(result);
  if (at_head) CHECK(at_head->message == result.error().message);
  CHECK(result.error().retry_after == Duration::zero());
  return result.error();
}

bool says(const ApiError& error, std::string_view text) { return error.message.find(text) != std::string::npos; }

std::string status_and_code(const ApiError& error) {
  return std::to_string(error.status) + " " + std::string(error.code);
}

}  // namespace

TEST_CASE("the examples of the official API description are taken as they are", "[ingest][telemetry_api]") {
  http::Request twin = plus(request_to(kTarget), "Telemetry-Source-Time", "1985-04-12T23:20:50.52Z");
  CHECK(accepted(twin) == Telemetry{.twin = "myTwinId",
                                    .message_id = kUuid,
                                    .source_time = "1985-04-12T23:20:50.52Z",
                                    .body = "{\"temperature\":1}"});
  twin.target = "/digitaltwins/myTwinId/components/myComponent/telemetry?api-version=2023-10-31";
  const Telemetry component = accepted(twin);
  CHECK(component.twin == "myTwinId");
  CHECK(component.component == "myComponent");
}

TEST_CASE("requests of the official SDKs are taken byte for byte", "[ingest][telemetry_api]") {
  SECTION("JavaScript: an empty Cookie header, an encoded id") {
    http::Request request =
        request_to("/digitaltwins/twin%201%2F%C3%A9%3A%2B/telemetry?api-version=2022-05-31", "{\"x\":\"\xc3\xa9\"}");
    request.headers = http::Headers{{"Message-Id", kUuid},
                                    {"Telemetry-Source-Time", "2026-11-22T19:13:44.025Z"},
                                    {"Content-Type", "application/json"},
                                    {"Cookie", ""},
                                    {"Accept", "*/*"},
                                    {"x-ms-client-request-id", kUuid}};
    const Telemetry telemetry = accepted(request);
    CHECK(telemetry.twin == "twin%201%2F%C3%A9%3A%2B");
    CHECK(telemetry.body == "{\"x\":\"\xc3\xa9\"}");
  }
  SECTION(".NET: a source time that is not RFC 3339, traceparent") {
    http::Request request = plus(request_to("/digitaltwins/t/telemetry?api-version=2020-10-31"),
                                 "Telemetry-Source-Time", "01/01/01 0:00:00 +00:00");
    request.headers.add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    const auto result = read_telemetry(std::move(request), {}, kNow);
    REQUIRE(result);
    CHECK(result->telemetry.source_time == "01/01/01 0:00:00 +00:00");
    CHECK(result->telemetry.traceparent == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    CHECK(result->source_time_not_rfc3339);
  }
  SECTION("Python: separators and escapes stay") {
    CHECK(accepted(request_to(kTarget, "{\"a\": 1, \"b\": \"\\u00e9\"}")).body == "{\"a\": 1, \"b\": \"\\u00e9\"}");
  }
}

TEST_CASE("unknown paths are 404, other methods on known ones 405 with Allow", "[ingest][telemetry_api]") {
  const std::string path =
      GENERATE(as<std::string>(), "/", "", "*", "/digitaltwins", "/digitaltwins/t", "/digitaltwins/t/telemetry/",
               "/digitaltwins/t/components/telemetry", "/digitaltwins/t/component/c/telemetry",
               "/digitaltwins/t/components/c/telemetry/x", "/DigitalTwins/t/telemetry", "/x/digitaltwins/t/telemetry",
               "digitaltwins/t/telemetry", "/digitaltwins/t%2Ftelemetry", "http://host");
  CAPTURE(path);
  CHECK(status_and_code(refused(request_to(path + "?api-version=2023-10-31"))) == "404 NotFound");
}

TEST_CASE("a known path takes POST only", "[ingest][telemetry_api]") {
  http::Request request = request_to(kTarget);
  request.method = GENERATE(as<std::string>(), "GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH");
  const ApiError error = refused(request);
  CHECK(status_and_code(error) == "405 MethodNotAllowed");
  CHECK(error_response(error).headers.get("Allow") == "POST");
}

TEST_CASE("a target in absolute form means the same", "[ingest][telemetry_api]") {
  CHECK(accepted(request_to("HTTP://localhost:80/digitaltwins/t/telemetry?api-version=2023-10-31")).twin == "t");
}

TEST_CASE("api-version is needed once and must be one that exists", "[ingest][telemetry_api]") {
  const std::string path = "/digitaltwins/t/telemetry";
  for (const std::string good :
       {"?api-version=2020-10-31", "?api-version=2022-05-31", "?api-version=2023-06-30",
        "?a=b&api-version=2023-10-31&&c", "?api-version=2023%2D10%2D31", "?api%2Dversion=2023-10-31"}) {
    CAPTURE(good);
    CHECK_FALSE(check_head(request_to(path + good), {}));
  }
  for (const std::string bad :
       {"", "?", "?api-version", "?api-version=", "?api-version=2024-01-01", "?Xapi-version=2023-10-31",
        "?api-version=2023-10-31&api-version=2023-10-31", "?api-version=2023-10-31%"}) {
    CAPTURE(bad);
    const ApiError error = refused(request_to(path + bad));
    CHECK(status_and_code(error) == "400 InvalidArgument");
    CHECK(says(error, "api-version"));
  }
}

TEST_CASE("ids keep their bytes", "[ingest][telemetry_api]") {
  const std::string id =
      GENERATE(as<std::string>(), "a", "a%2Fb", "a%2fb", "%C3%A9", "%F0%9F%98%80", "-._~!$&'()*+,;=:@", "...", "%25zz");
  CHECK(accepted(request_for(id)).twin == id);
}

TEST_CASE("ids that are no percent-encoded text are refused", "[ingest][telemetry_api]") {
  const std::string id =
      GENERATE(as<std::string>(), "", "%00", "a%0Ab", "%7f", "%C2%80", "%zz", "%", "%4", "a%2", "%C3", "%C0%AF",
               "%ED%A0%80", "%FF", "%F4%90%80%80", "\xc3\xa9", "a#b", "a\"b", "a\\b", ".", "..", "%2e%2E", ".%2e");
  CAPTURE(id);
  CHECK(status_and_code(refused(request_for(id))) == "400 InvalidArgument");
  const ApiError error = refused(request_to("/digitaltwins/t/components/" + id + "/telemetry?api-version=2023-10-31"));
  CHECK(status_and_code(error) == "400 InvalidArgument");
  CHECK(says(error, "component path"));
}

TEST_CASE("an id may have 1,024 bytes", "[ingest][telemetry_api]") {
  CHECK(accepted(request_for(std::string(1024, 'x'))).twin.size() == 1024);
  const ApiError error = refused(request_for(std::string(1025, 'x')));
  CHECK(says(error, "1025 bytes"));
  CHECK(says(error, "1024"));
  CHECK(error.message.size() < 250);
}

TEST_CASE("Message-Id is needed, once, as bounded text", "[ingest][telemetry_api]") {
  CHECK(accepted(request_with_id("\xc3\xa9 {1}")).message_id == "\xc3\xa9 {1}");
  CHECK(accepted(request_with_id(std::string(1024, 'm'))).message_id.size() == 1024);
  for (const std::string& bad :
       {std::string(), std::string(1025, 'm'), std::string("a\tb"), std::string("\xff"), std::string("\xc2\x85")}) {
    CAPTURE(bad.size());
    const ApiError error = refused(request_with_id(bad));
    CHECK(status_and_code(error) == "400 InvalidArgument");
    CHECK(says(error, "Message-Id"));
  }
  CHECK(says(refused(request_with({{"Content-Type", "application/json"}})), "Message-Id is missing"));
}

TEST_CASE("a header that means one thing may not stand there twice", "[ingest][telemetry_api]") {
  const std::string name =
      GENERATE(as<std::string>(), "message-id", "Telemetry-Source-Time", "traceparent", "Content-Type");
  const http::Request request = plus(plus(request_to(kTarget), name, kUuid), name, kUuid);
  const ApiError error = refused(request);
  CHECK(status_and_code(error) == "400 InvalidArgument");
  CHECK(says(error, "more than once"));
}

TEST_CASE("a tracestate that would not pass the cloud's front is refused", "[ingest][telemetry_api]") {
  const std::string half(2040, 'a');
  const http::Request most = plus(plus(request_to(kTarget), "tracestate", half), "tracestate", half);
  CHECK(accepted(most).tracestate.size() == 2 * half.size() + 1);
  CHECK(refused(plus(most, "tracestate", "one more than fits")).status == 400);
}

TEST_CASE("tracestate over several lines is one list", "[ingest][telemetry_api]") {
  const http::Request request = plus(plus(request_to(kTarget), "tracestate", "a=1"), "Tracestate", "b=2");
  CHECK(accepted(request).tracestate == "a=1,b=2");
  CHECK(refused(plus(request, "tracestate", "\xff")).status == 400);
}

TEST_CASE("the body must be declared as JSON, plain", "[ingest][telemetry_api]") {
  for (const std::string_view good : {"application/json", "Application/JSON; charset=utf-8", "application/json ;x"}) {
    CHECK_FALSE(check_head(request_with({{"Message-Id", kUuid}, {"Content-Type", good}}), {}));
  }
  for (const std::string_view bad :
       {"application/x-www-form-urlencoded", "text/json", "application/json-patch+json", ""}) {
    const ApiError error = refused(request_with({{"Message-Id", kUuid}, {"Content-Type", bad}}));
    CHECK(status_and_code(error) == "415 UnsupportedMediaType");
    CHECK(says(error, "-H 'Content-Type: application/json'"));
  }
  CHECK(refused(request_with({{"Message-Id", kUuid}})).status == 415);
  CHECK(refused(plus(request_to(kTarget), "Content-Encoding", "gzip")).status == 415);
  CHECK_FALSE(check_head(plus(request_to(kTarget), "Content-Encoding", "identity"), {}));
}

TEST_CASE("a body may have 32,768 bytes, and one more is refused before it is read", "[ingest][telemetry_api]") {
  const std::string most = "{\"a\":\"" + std::string(32768 - 8, 'x') + "\"}";
  REQUIRE(most.size() == 32768);
  CHECK(accepted(request_to(kTarget, most)).body == most);
  const ApiError error = refused(request_to(kTarget, most + " "));
  CHECK(status_and_code(error) == "413 PayloadTooLarge");
  CHECK(says(error, "32769 bytes, the limit is 32768"));

  CHECK_FALSE(check_head(plus(request_to(kTarget), "Content-Length", "32768"), {}));
  for (const std::string length : {"32769", "99999999999999999999999999"}) {
    const auto at_head = check_head(plus(request_to(kTarget), "Content-Length", length), {});
    REQUIRE(at_head);
    CHECK(at_head->status == 413);
    CHECK(says(*at_head, length + " bytes, the limit is 32768"));
  }
}

TEST_CASE("the body must be one JSON object", "[ingest][telemetry_api]") {
  const std::string body = GENERATE(as<std::string>(), "", " ", "[]", "1", "null", "{", "{}{}", "{\"a\":}",
                                    "{\"a\":\"\xff\"}", "\"{}\"", "temperature=1");
  CAPTURE(body);
  CHECK(status_and_code(refused(request_to(kTarget, body))) == "400 ValidationFailed");
}

TEST_CASE("the mistakes of SDK samples are explained", "[ingest][telemetry_api]") {
  CHECK(says(refused(request_to(kTarget, "\"{\\\"Telemetry1\\\": 5}\"")), "samples pass a string"));
  const ApiError swapped = refused(request_with_id("{\"x\":1}", "\"mid-10\""));
  CHECK(status_and_code(swapped) == "400 ValidationFailed");
  CHECK(says(swapped, "swapped"));
}

TEST_CASE("a source time is kept, judged or stamped as configured", "[ingest][telemetry_api]") {
  IngestConfig strict{.source_time = SourceTimeRule::rfc3339};
  const http::Request odd = plus(request_to(kTarget), "Telemetry-Source-Time", "2020-11-25 10:03:59.895037");
  CHECK(accepted(odd).source_time == "2020-11-25 10:03:59.895037");
  CHECK(says(refused(odd, strict), "RFC 3339"));
  CHECK(accepted(plus(request_to(kTarget), "Telemetry-Source-Time", "2026-01-01T00:00:00+01:00"), strict).source_time ==
        "2026-01-01T00:00:00+01:00");

  CHECK(accepted(request_to(kTarget), strict).source_time == "2027-01-15T08:00:00.123Z");
  CHECK(accepted(request_to(kTarget), {.stamp_source_time = false}).source_time.empty());
  CHECK_FALSE(read_telemetry(request_to(kTarget), {}, kNow)->source_time_not_rfc3339);
  CHECK(refused(plus(request_to(kTarget), "Telemetry-Source-Time", std::string(1025, '1'))).status == 400);
  CHECK(refused(plus(request_to(kTarget), "Telemetry-Source-Time", "\xff")).status == 400);
}

TEST_CASE("an error has the cloud's shape and stays valid JSON whatever was sent", "[ingest][api_error]") {
  const http::Response response = error_response(refused(request_for("a\xff\"")));
  CHECK(response.status == 400);
  CHECK(response.headers.get("x-ms-error-code") == "InvalidArgument");
  CHECK(response.headers.get("Content-Type") == "application/json; charset=utf-8");
  CHECK_FALSE(response.headers.get("Retry-After"));
  const auto body = json::Document::parse(response.body);
  REQUIRE(body);
  CHECK(body->value("error.code") == "InvalidArgument");
  CHECK(body->value("error.message")->find("'a\\xff\"'") != std::string::npos);
  CHECK_FALSE(body->value("error.innererror.code"));
}

TEST_CASE("Retry-After is whole seconds, at least one, on every refusal but the permanent", "[ingest][api_error]") {
  using namespace std::chrono_literals;
  const auto answer = [](Refusal why, Duration after) {
    return error_response(to_api_error({.why = why, .what = "why", .retry_after = after}));
  };
  CHECK(answer(Refusal::queue_full, 1500ms).headers.get("Retry-After") == "2");
  CHECK(answer(Refusal::inbox_full, 1ms).headers.get("Retry-After") == "1");
  CHECK(answer(Refusal::storage, 0ms).headers.get("Retry-After") == "1");
  CHECK(answer(Refusal::shutting_down, 0ms).status == 503);
  CHECK(answer(Refusal::disk_full, 0ms).status == 507);
  const http::Response reused = answer(Refusal::message_id_reused, 5s);
  CHECK(reused.status == 400);
  CHECK_FALSE(reused.headers.get("Retry-After"));
  CHECK(json::Document::parse(reused.body)->value("error.innererror.code") == "MessageIdReused");
}

TEST_CASE("quoted text is short and printable", "[ingest][text]") {
  CHECK(quoted("a\nb\x7f\xc2\x85") == "'a\\x0ab\\x7f\\xc2\\x85'");
  CHECK(quoted(std::string(1000, 'x')) == "'" + std::string(64, 'x') + "...'");
  CHECK(quoted("\xc3\xa9\xc3") == "'\xc3\xa9\\xc3'");
}

}  // namespace twinspool::ingest
