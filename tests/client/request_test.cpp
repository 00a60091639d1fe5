#include "request.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "identity.h"
#include "support/catch.h"

namespace {

twinspool_message message_with(const char* body) {
  twinspool_message message{};
  message.twin = "pump-1";
  message.id = "id-1";
  message.source_time = "";
  message.body = body;
  message.body_bytes = std::string(body).size();
  return message;
}

std::string rendered(const twinspool_message& message) {
  buffer out{};
  render_message(&out, &message);
  std::string text(out.bytes, out.size);
  buffer_free(&out);
  return text;
}

std::string rendered_line(const twinspool_message& message) {
  buffer out{};
  render_batch_line(&out, &message);
  std::string text(out.bytes, out.size);
  buffer_free(&out);
  return text;
}

}  // namespace

TEST_CASE("a message becomes the request of the local API, byte for byte", "[client][request]") {
  twinspool_message message = message_with(R"({"t": 1})");
  CHECK(rendered(message) ==
        "POST /digitaltwins/pump-1/telemetry?api-version=2023-10-31 HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\nMessage-Id: id-1\r\nContent-Length: 8\r\n\r\n{\"t\": 1}");
  message.component = "motor";
  message.source_time = "2026-11-23T20:20:41Z";
  message.traceparent = "00-1-2-01";
  message.tracestate = "a=b";
  CHECK(rendered(message) ==
        "POST /digitaltwins/pump-1/components/motor/telemetry?api-version=2023-10-31 HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\nMessage-Id: id-1\r\nTelemetry-Source-Time: 2026-11-23T20:20:41Z\r\n"
        "traceparent: 00-1-2-01\r\ntracestate: a=b\r\nContent-Length: 8\r\n\r\n{\"t\": 1}");
}

TEST_CASE("a twin's name is encoded, whatever it has", "[client][request]") {
  twinspool_message message = message_with("{}");
  message.twin = "room 1/\xC3\xA9?#%";
  CHECK(rendered(message).find("/digitaltwins/room%201%2F%C3%A9%3F%23%25/telemetry?") != std::string::npos);
}

TEST_CASE("nothing that a caller gives can begin another header", "[client][request]") {
  const char* const evil = "x\r\nTransfer-Encoding: chunked";
  const auto fault = [&](const char* twinspool_message::*member) {
    twinspool_message message = message_with("{}");
    message.*member = evil;
    return message_fault(&message) != nullptr;
  };
  CHECK(fault(&twinspool_message::twin));
  CHECK(fault(&twinspool_message::component));
  CHECK(fault(&twinspool_message::id));
  CHECK(fault(&twinspool_message::source_time));
  CHECK(fault(&twinspool_message::traceparent));
  CHECK(fault(&twinspool_message::tracestate));
}

TEST_CASE("what is missing or too large is said before anything is sent", "[client][request]") {
  twinspool_message message = message_with("{}");
  CHECK(message_fault(&message) == nullptr);
  message.twin = "";
  CHECK(std::string(message_fault(&message)).find("twin") != std::string::npos);
  message = message_with("");
  CHECK(std::string(message_fault(&message)).find("body") != std::string::npos);
  const std::string large(TWINSPOOL_BODY_BYTES_MAX + 1, ' ');
  message = message_with(large.c_str());
  CHECK(std::string(message_fault(&message)).find("32768") != std::string::npos);
  message.body_bytes = TWINSPOOL_BODY_BYTES_MAX;
  CHECK(message_fault(&message) == nullptr);
}

TEST_CASE("a line of a batch is JSON, whatever its texts have", "[client][request]") {
  twinspool_message message = message_with(R"({"t": 1})");
  message.twin = "a \"quoted\" \\ twin";
  message.component = "motor";
  CHECK(rendered_line(message) ==
        R"({"twin":"a \"quoted\" \\ twin","component":"motor","messageId":"id-1","telemetry":{"t": 1}})");
  CHECK(batch_line_fault(&message) == nullptr);
  message = message_with("{\"t\":\n1}");
  CHECK(std::string(batch_line_fault(&message)).find("line break") != std::string::npos);
}

TEST_CASE("the head of a batch ends where its lines begin", "[client][request]") {
  char room[TWINSPOOL_BATCH_HEAD_ROOM];
  const std::size_t start = render_batch_head(room, 1234567);
  const std::string head(room + start, sizeof room - start);
  CHECK(head.rfind("POST /telemetry:batch?api-version=2023-10-31 HTTP/1.1\r\n", 0) == 0);
  CHECK(head.find("\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1234567\r\n\r\n") != std::string::npos);
  CHECK(render_batch_head(room, static_cast<std::size_t>(-1)) > 0);  // the longest number fits
}

TEST_CASE("an id is a UUID of version 4, and no two are the same", "[client][identity]") {
  unsigned char ones[16];
  std::fill(std::begin(ones), std::end(ones), static_cast<unsigned char>(0xFF));
  char text[TWINSPOOL_ID_SIZE];
  uuid_text(ones, text);
  CHECK(std::string(text) == "ffffffff-ffff-4fff-bfff-ffffffffffff");
  const unsigned char zeros[16] = {};
  uuid_text(zeros, text);
  CHECK(std::string(text) == "00000000-0000-4000-8000-000000000000");
  char other[TWINSPOOL_ID_SIZE];
  REQUIRE(twinspool_new_id(text) == TWINSPOOL_OK);
  REQUIRE(twinspool_new_id(other) == TWINSPOOL_OK);
  CHECK(std::string(text) != other);
}

TEST_CASE("a time is RFC 3339 in UTC with milliseconds", "[client][identity]") {
  char text[TWINSPOOL_TIME_SIZE];
  const auto of = [&](std::int64_t unix_ms) {
    time_text(unix_ms, text);
    return std::string(text);
  };
  CHECK(of(0) == "1970-01-01T00:00:00.000Z");
  CHECK(of(1'700'000'000'007) == "2023-11-14T22:13:20.007Z");
  CHECK(of(-1) == "1969-12-31T23:59:59.999Z");
  CHECK(of(INT64_MAX).empty());  // no year of four digits: then none is sent
}
