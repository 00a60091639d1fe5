#include "forward/telemetry_request.h"

#include "support/catch.h"

namespace twinspool::forward {
namespace {

const RequestTarget kTarget{.authority = "x.azure.net:8443", .api_version = "2023-10-31"};

}  // namespace

TEST_CASE("a message with everything becomes these bytes", "[forward][request]") {
  const Telemetry telemetry{.twin = "pump%2F7",
                            .component = "motor",
                            .message_id = "id-1",
                            .source_time = "01/01/01 0:00:00 +00:00",
                            .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                            .tracestate = "a=1, b=2",
                            .body = R"({ "t" : 1.50 })"};
  CHECK(telemetry_request(telemetry, kTarget, "secret") ==
        "POST /digitaltwins/pump%2F7/components/motor/telemetry?api-version=2023-10-31 HTTP/1.1\r\n"
        "Host: x.azure.net:8443\r\n"
        "User-Agent: twinspool/" TWINSPOOL_VERSION
        "\r\n"
        "Authorization: Bearer secret\r\n"
        "Content-Type: application/json\r\n"
        "Message-Id: id-1\r\n"
        "Telemetry-Source-Time: 01/01/01 0:00:00 +00:00\r\n"
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
        "tracestate: a=1, b=2\r\n"
        "Content-Length: 14\r\n"
        "\r\n"
        R"({ "t" : 1.50 })");
}

TEST_CASE("what the application left out is left out", "[forward][request]") {
  const Telemetry telemetry{.twin = "pump",
                            .component = {},
                            .message_id = "id-1",
                            .source_time = {},
                            .traceparent = {},
                            .tracestate = {},
                            .body = "{}"};
  CHECK(telemetry_request(telemetry, kTarget, {}) ==
        "POST /digitaltwins/pump/telemetry?api-version=2023-10-31 HTTP/1.1\r\n"
        "Host: x.azure.net:8443\r\n"
        "User-Agent: twinspool/" TWINSPOOL_VERSION
        "\r\n"
        "Content-Type: application/json\r\n"
        "Message-Id: id-1\r\n"
        "Content-Length: 2\r\n"
        "\r\n"
        "{}");
}

TEST_CASE("a message that would break the request's framing cannot be sent", "[forward][request]") {
  Telemetry telemetry{.twin = "pump",
                      .component = "motor",
                      .message_id = "id 1",
                      .source_time = "now",
                      .traceparent = "t",
                      .tracestate = "s",
                      .body = "{\r\n}"};
  REQUIRE_FALSE(why_unsendable(telemetry));
  SECTION("twin") { telemetry.twin = GENERATE(as<std::string>{}, "", "a b", "a?b", "a#b", "a\r\nb", "a\x7f"); }
  SECTION("component") { telemetry.component = GENERATE(as<std::string>{}, "a b", "a?b", "a\nb"); }
  SECTION("Message-Id") {
    telemetry.message_id = GENERATE(as<std::string>{}, "", "a\r\nX: y", "a\nb", std::string("a\0b", 3));
  }
  SECTION("source time") { telemetry.source_time = "a\nb"; }
  SECTION("traceparent") { telemetry.traceparent = "a\rb"; }
  SECTION("tracestate") { telemetry.tracestate = "a\r\nb"; }
  SECTION("nothing") { return; }
  CHECK(why_unsendable(telemetry));
}

}  // namespace twinspool::forward
