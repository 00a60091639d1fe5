#include "ops/recall.h"

#include "ops/quarantine.h"
#include "ops/receipt.h"
#include "ops/text.h"
#include "support/catch.h"

namespace twinspool::ops {
namespace {

json::Document parse(const char* text) {
  auto document = json::Document::parse(text);
  REQUIRE(document);
  return std::move(*document);
}

TEST_CASE("what was put back is said with what was left out, and from when to go on", "[ops]") {
  const std::string text = render_recalled(
      parse(R"({"messages":3,"bytes":300,"damaged":1,"unknown":0,"stopped":"the queue is full","go_on_since":"T"})"),
      "put back");
  CHECK(text ==
        "3 messages (300 bytes) put back\n1 are damaged on disk and are never sent\n"
        "stopped early: the queue is full\nwhen there is room, go on with --since T\n");
}

TEST_CASE("a receipt is one line, and never sends control characters to the terminal", "[ops]") {
  CHECK(render_receipt(parse(R"({"state":"queued","sequence":7,"accepted_at":"T1","replay_of":3})")) ==
        "queued: sequence 7, since T1, a replay of 3\n");
  const std::string text = render_receipt(
      parse(R"({"state":"quarantined","sequence":7,"accepted_at":"T1","at":"T2","status":400,"reason":"refused",)"
            R"("error_code":"Bad","error_message":"\u001b[31mno"})"));
  CHECK(text == "quarantined: sequence 7, accepted T1, quarantined T2, HTTP 400\n  refused: Bad ?[31mno\n");
}

TEST_CASE("the quarantine is exported as lines of the batch format, names as people write them", "[ops]") {
  const std::string text = export_quarantine(
      parse(R"({"messages":[{"sequence":1,"twin":"a%2Fb","component":"","message_id":"id","source_time":"T",)"
            R"("traceparent":"","tracestate":"","body":"{ \"n\":\n1.0 }"}]})"));
  CHECK(text == "{\"twin\":\"a/b\",\"messageId\":\"id\",\"sourceTime\":\"T\",\"telemetry\":{ \"n\": 1.0 }}\n");
}

TEST_CASE("a name with a % is taken as the views show it", "[ops]") {
  CHECK(query_encoded("a/b") == "a%2Fb");
  CHECK(query_encoded("a%2Fb") == "a%2Fb");
  CHECK(percent_decoded("a%2Fb%") == "a/b%");
}

}  // namespace
}  // namespace twinspool::ops
