#include "ops/message_text.h"

#include "support/catch.h"
#include "util/json.h"

using namespace twinspool;

namespace {

QueuedMessage queued() {
  return {.sequence = 17,
          .accepted_ms = 1'780'000'000'123,
          .bytes = 321,
          .socket = "/run/twinspool/twinspool.sock",
          .telemetry = {.twin = "room%201",
                        .component = "motor",
                        .message_id = "id \x1b[2J",
                        .source_time = "2026-01-01T00:00:00Z",
                        .body = "{\"a\": 1.50,\n \"b\": \"x\\n\"}"}};
}

json::Document parsed(const std::string& text) {
  auto document = json::Document::parse(text);
  REQUIRE(document.has_value());
  return *document;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a line of an export is one line, its body's bytes as they are but for breaks between tokens",
          "[ops][message_text]") {
  const std::string line = ops::batch_line(queued().telemetry);
  CHECK(line.find('\n') == line.size() - 1);
  CHECK(has(line, R"("telemetry":{"a": 1.50,  "b": "x\n"})"));
  const json::Document document = parsed(line);
  CHECK(document.value("twin") == "room 1");
  CHECK(document.value("component") == "motor");
  CHECK(document.value("messageId") == "id \x1b[2J");
  CHECK(document.value("sourceTime") == "2026-01-01T00:00:00Z");
  CHECK_FALSE(document.value("traceparent").has_value());
}

TEST_CASE("a list's line has no control characters, and says where a row is damaged", "[ops][message_text]") {
  QueuedMessage message = queued();
  const std::string line = ops::list_line(message);
  CHECK(has(line, "        17  2026-05-28T20:26:40Z     321  room%201/motor     id ?[2J\n"));
  message.sound = false;
  CHECK(has(ops::list_line(message), "DAMAGED"));
  CHECK(has(ops::message_text(message), "DAMAGED"));
}

TEST_CASE("a newcomer is one line as wide as the terminal, or whole", "[ops][message_text]") {
  const QueuedMessage message = queued();
  Newcomer newcomer{
      .sequence = 17, .accepted_ms = message.accepted_ms, .state = "queued", .telemetry = message.telemetry};
  CHECK(ops::newcomer_line(newcomer, 60).size() == 61);
  CHECK(has(ops::newcomer_line(newcomer, 0), R"({"a": 1.50,? "b": "x\n"})"));
  newcomer.state = "delivered";
  newcomer.telemetry.body.clear();
  CHECK(has(ops::newcomer_line(newcomer, 0), "(delivered)"));
}

TEST_CASE("objects have the names of the views, and the state", "[ops][message_text]") {
  const json::Document message = parsed(ops::message_json(queued()));
  CHECK(message.integer("sequence") == 17);
  CHECK(message.value("state") == "queued");
  CHECK(message.value("twin") == "room%201");
  CHECK(message.value("accepted_at") == "2026-05-28T20:26:40.123Z");
  CHECK(message.value("body") == queued().telemetry.body);
  const json::Document gone = parsed(ops::left_json(
      {.sequence = 17, .accepted_ms = 1, .at_ms = 2, .status = 204, .outcome = "delivered", .telemetry = {}}));
  CHECK(gone.value("state") == "delivered");
  CHECK(gone.integer("status") == 204);
  CHECK_FALSE(gone.value("body").has_value());
  const json::Document refused = parsed(
      ops::quarantined_json({.sequence = 3, .status = 400, .reason = "refused", .error_code = "ValidationFailed"}));
  CHECK(refused.value("state") == "quarantined");
  CHECK(refused.value("error_code") == "ValidationFailed");
}

TEST_CASE("the text of a message ends with its body; what is not kept says so", "[ops][message_text]") {
  CHECK(has(ops::message_text(queued()), "sequence      17\nstate         queued\ntwin          room%201\n"));
  CHECK(has(ops::left_text({.sequence = 17, .outcome = "delivered"}), "store.keep_delivered"));
}
