#include "answer.h"

#include <memory>
#include <string>

#include "support/catch.h"

namespace {

std::unique_ptr<answer> read(const std::string& bytes, std::size_t piece = 4096) {
  auto read = std::make_unique<answer>();
  answer_begin(read.get());
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const std::string part = bytes.substr(at, piece);
    if (answer_feed(read.get(), part.data(), part.size()) < part.size()) break;
  }
  return read;
}

std::string message_of(const answer& read) {
  char text[64];
  answer_message(&read, text, sizeof text);
  return text;
}

const std::string kStored =
    "HTTP/1.1 204 No Content\r\nTwinspool-Sequence: 17\r\nTwinspool-Duplicate: true\r\nDate: x\r\n\r\n";
const std::string kFull =
    "HTTP/1.1 507 Insufficient Storage\r\nContent-Type: application/json\r\nx-ms-error-code:  InsufficientStorage \r\n"
    "Retry-After: 30\r\nContent-Length: 74\r\n\r\n"
    R"({"error":{"code":"InsufficientStorage","message":"the \"queue\" is full\n"}})";

}  // namespace

TEST_CASE("any split of an answer's bytes gives the same answer", "[client][answer]") {
  for (const std::string& bytes : {kStored, kFull, "HTTP/1.1 100 Continue\r\n\r\n" + kStored}) {
    const auto whole = read(bytes);
    REQUIRE(whole->state == answer_complete);
    for (const std::size_t piece : {1, 2, 3, 7, 50}) {
      const auto split = read(bytes, piece);
      CHECK(split->state == answer_complete);
      CHECK(split->status == whole->status);
      CHECK(split->sequence == whole->sequence);
      CHECK(split->retry_after_ms == whole->retry_after_ms);
      CHECK(std::string(split->body) == whole->body);
    }
  }
}

TEST_CASE("an answer says what the client needs", "[client][answer]") {
  const auto stored = read(kStored);
  CHECK(stored->status == 204);
  CHECK(stored->sequence == 17);
  CHECK(stored->duplicates == 1);
  CHECK_FALSE(stored->close);
  const auto full = read(kFull);
  CHECK(full->status == 507);
  CHECK(std::string(full->code) == "InsufficientStorage");
  CHECK(full->retry_after_ms == 30'000);
  CHECK(message_of(*full) == "the \"queue\" is full ");
  const auto batch = read("HTTP/1.1 204 No Content\r\nTwinspool-Accepted: 3\r\nTwinspool-Duplicates: 2\r\n\r\n");
  CHECK(batch->duplicates == 2);
  CHECK(read("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")->close);
}

TEST_CASE("only what may succeed later is tried again", "[client][answer]") {
  const auto verdict = [](const std::string& head) {
    return answer_verdict(read("HTTP/1.1 " + head + "\r\n\r\n").get());
  };
  CHECK(verdict("204 No Content") == verdict_stored);
  CHECK(verdict("400 Bad Request") == verdict_refused);
  CHECK(verdict("403 Forbidden") == verdict_refused);
  CHECK(verdict("413 Content Too Large") == verdict_refused);
  CHECK(verdict("408 Request Timeout") == verdict_later);
  CHECK(verdict("429 Too Many Requests") == verdict_later);
  CHECK(verdict("503 Service Unavailable") == verdict_later);
  CHECK(verdict("403 Forbidden\r\nRetry-After: 1") == verdict_later);
}

TEST_CASE("bytes that are no answer of the daemon are called malformed", "[client][answer]") {
  for (const std::string bytes :
       {"\r\n\r\n", "HTTP/2 204\r\n\r\n", "HTTP/1.1 20x No\r\n\r\n", "HTTP/1.1 204 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 400 Bad\r\nContent-Length: 5x\r\n\r\n", "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 400 Bad\r\nContent-Length: 99999999999999999999999\r\n\r\n"}) {
    CAPTURE(bytes);
    CHECK(read(bytes)->state == answer_malformed);
  }
  CHECK(read("HTTP/1.1 204 OK\r\nX: " + std::string(5000, 'x'))->state == answer_malformed);
  CHECK(read(std::string("HTTP/1.1 204 OK\r\nX: \0\r\n\r\n", 25))->state == answer_malformed);
}

TEST_CASE("a long answer is read to its end and kept up to a limit", "[client][answer]") {
  const std::string body(100'000, 'x');
  const auto long_one = read("HTTP/1.1 400 Bad\r\nContent-Length: 100000\r\n\r\n" + body);
  CHECK(long_one->state == answer_complete);
  CHECK(std::string(long_one->body) == body.substr(0, TWINSPOOL_ANSWER_BODY_BYTES_MAX));
  CHECK(message_of(*long_one).empty());
}
