#include "ingest/telemetry_batch.h"

#include "ingest/telemetry_target.h"
#include "support/catch.h"
#include "util/json.h"

namespace twinspool::ingest {
namespace {

http::Request batch_of(std::string body) {
  return {.method = "POST",
          .target = "/telemetry:batch",
          .headers = {{"Host", "x"}, {"Content-Type", "application/x-ndjson"}},
          .body = std::move(body)};
}

AcceptedBatch accepted(std::string body, const IngestConfig& config = {}) {
  auto batch = read_batch(batch_of(std::move(body)), config, {}, from_unix_ms(1'700'000'000'123));
  REQUIRE(batch);
  return std::move(*batch);
}

ApiError refused(std::string body, const IngestConfig& config = {}, const Access& access = {}) {
  auto batch = read_batch(batch_of(std::move(body)), config, access, {});
  REQUIRE_FALSE(batch);
  return std::move(batch.error());
}

// The one complaint about one bad line.
std::string complaint(const std::string& line) {
  const ApiError error = refused(line);
  REQUIRE(error.details.size() == 1);
  CHECK(error.status == 400);
  return error.details[0].message;
}

const std::string kGood = R"({"twin":"pump","messageId":"m","telemetry":{"t":1}})";

}  // namespace

TEST_CASE("a line becomes a message with the very bytes of its telemetry", "[ingest][batch]") {
  const AcceptedBatch batch = accepted(
      "{ \"telemetry\" : { \"t\" : 1.50,\"n\":1e400, \"s\":\"\\u00e9}\" } ,\"twin\":\"Halle "
      "S\\u00fcd/1\",\"component\":\"a+b\","
      "\"messageId\":\"m\\\"1\",\"sourceTime\":\"then\",\"traceparent\":\"00-1\",\"tracestate\":\"a=b\"}\r\n\n" +
      kGood);
  REQUIRE(batch.messages.size() == 2);
  CHECK(batch.messages[0] == Telemetry{.twin = "Halle%20S%C3%BCd%2F1",
                                       .component = "a%2Bb",
                                       .message_id = "m\"1",
                                       .source_time = "then",
                                       .traceparent = "00-1",
                                       .tracestate = "a=b",
                                       .body = "{ \"t\" : 1.50,\"n\":1e400, \"s\":\"\\u00e9}\" }"});
  CHECK(batch.messages[1].source_time == "2023-11-14T22:13:20.123Z");
  CHECK(batch.lines == std::vector<std::uint32_t>{1, 3});
  CHECK(batch.source_times_not_rfc3339 == 1);
}

TEST_CASE("a twin's plain name is the lane of the path that encodeURIComponent makes", "[ingest][batch]") {
  CHECK(path_encoded("twin 1/é:+") == "twin%201%2F%C3%A9%3A%2B");
  CHECK(path_encoded("a-Z_0.9~!*'()") == "a-Z_0.9~!*'()");
  CHECK(path_encoded("100%") == "100%25");
  CHECK(decoded_or_raw(path_encoded("Ü %41/\\")) == "Ü %41/\\");
}

TEST_CASE("null is as good as leaving an optional member out", "[ingest][batch]") {
  const AcceptedBatch batch =
      accepted(R"({"twin":"p","component":null,"messageId":"m","sourceTime":null,"telemetry":{}})",
               {.stamp_source_time = false});
  CHECK(batch.messages[0].component.empty());
  CHECK(batch.messages[0].source_time.empty());
}

TEST_CASE("each bad line is told what is wrong with it", "[ingest][batch]") {
  CHECK(complaint("[1]") == "the line is an array, not an object");
  CHECK(complaint("{").starts_with("the line is not valid JSON"));
  CHECK(complaint(R"({"messageId":"m","telemetry":{}})") == "twin is missing or empty: the id of the twin to write to");
  CHECK(complaint(R"({"twin":"p","telemetry":{}})").starts_with("messageId is missing or empty"));
  CHECK(complaint(R"({"twin":"p","messageId":"m"})") == "telemetry is missing: the object to send");
  CHECK(complaint(R"({"twin":"p","messageId":"m","telemetry":[]})") == "telemetry is an array, an object is accepted");
  CHECK(complaint(R"({"twin":"p","messageId":"m","telemetry":"{}"})").find("leave out JSON.stringify") !=
        std::string::npos);
  CHECK(complaint(R"({"twin":7,"messageId":"m","telemetry":{}})") == "twin is a number, a string is accepted");
  CHECK(complaint(R"({"twin":"p","messageID":"m","telemetry":{}})")
            .starts_with("'messageID' is not known here, these are: twin,"));
  CHECK(complaint(R"({"twin":"p","twin":"q","messageId":"m","telemetry":{}})") == "'twin' stands there twice");
  CHECK(complaint(R"({"twin":"..","messageId":"m","telemetry":{}})").find("is a step in a path") != std::string::npos);
  CHECK(complaint(R"({"twin":"a\u0000","messageId":"m","telemetry":{}})").find("control character") !=
        std::string::npos);
  CHECK(complaint(R"({"twin":"p","messageId":"a\nb","telemetry":{}})").find("control character") != std::string::npos);
  CHECK(complaint(R"({"twin":"\ud800","messageId":"m","telemetry":{}})").starts_with("the line is not valid JSON"));
  CHECK(complaint("{\"twin\":\"p\",\"messageId\":\"" + std::string(1025, 'x') + "\",\"telemetry\":{}}") ==
        "messageId is 1025 bytes, the limit is 1024");
}

TEST_CASE("the limit of one message's telemetry holds in a batch to the byte", "[ingest][batch]") {
  const auto line = [](std::size_t bytes) {
    return R"({"twin":"p","messageId":"m","telemetry":{"a":")" + std::string(bytes - 8, 'x') + "\"}}";
  };
  CHECK(accepted(line(32768)).messages[0].body.size() == 32768);
  CHECK(complaint(line(32769)) == "telemetry is 32769 bytes, the limit is 32768");
}

TEST_CASE("one bad line refuses the batch, and every bad line is named with its number", "[ingest][batch]") {
  const ApiError error = refused(kGood + "\n\n[]\n" + kGood + "\n{}\n");
  CHECK(error.status == 400);
  CHECK(error.message ==
        "2 of 4 lines are bad, so none was stored; the first: line 3: the line is an array, not an object");
  REQUIRE(error.details.size() == 2);
  CHECK(error.details[1].line == 5);
  const auto document = json::Document::parse(error_response(error).body);
  CHECK(document->value("error.code") == "ValidationFailed");
  CHECK(document->value("error.details.0.message") == "line 3: the line is an array, not an object");
  CHECK(document->integer("error.details.1.line") == 5);
}

TEST_CASE("the number of details is bounded, and what is left out is counted", "[ingest][batch]") {
  std::string body;
  for (int i = 0; i < 150; ++i) body += "[]\n";
  const ApiError error = refused(body);
  CHECK(error.details.size() == kBatchDetailsMax);
  CHECK(error.message.ends_with("(details has the first 100 bad ones, 50 more are not listed)"));
}

TEST_CASE("a batch has at least one message and at most ten thousand", "[ingest][batch]") {
  CHECK(refused("").message == "the batch is empty: one message a line is accepted");
  CHECK(refused("\n \r\n").status == 400);
  std::string body;
  for (std::size_t i = 0; i < kBatchMessagesMax; ++i) body += kGood + "\n";
  CHECK(accepted(body).messages.size() == kBatchMessagesMax);
  CHECK(refused(body + kGood).status == 413);
}

TEST_CASE("twins that the socket may not write to are forbidden line by line", "[ingest][batch]") {
  const auto access = Access::of({.path = "/run/x.sock", .twins = {"valve*"}});
  const ApiError error = refused(kGood + "\n", {}, *access);
  CHECK(error.status == 403);
  CHECK(error.code == "Forbidden");
  CHECK(refused(kGood + "\n[]", {}, *access).status == 400);
}

TEST_CASE("a batch's head is checked before its body is read", "[ingest][batch]") {
  http::Request head = batch_of("");
  head.method = "GET";
  CHECK(check_batch_head(head, {})->allow == "POST");
  head = {
      .method = "POST", .target = "/telemetry:batch", .headers = {{"Content-Type", "application/json"}}, .body = ""};
  CHECK(check_batch_head(head, {})->status == 415);
  head.headers = {{"Content-Type", "application/x-ndjson; charset=utf-8"}, {"Content-Length", "4194305"}};
  CHECK(check_batch_head(head, {})->status == 413);
  head.headers = {{"Content-Type", "application/x-ndjson"}, {"Content-Length", "4194304"}};
  CHECK_FALSE(check_batch_head(head, {}));
  CHECK(is_batch_target("/telemetry:batch?api-version=2023-10-31"));
  CHECK(is_batch_target("http://localhost/telemetry%3Abatch"));
  CHECK_FALSE(is_batch_target("/telemetry:batch/"));
}

}  // namespace twinspool::ingest
