#include <memory>
#include <string>

#include "client/scripted_peer.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "twinspool/client.h"

using namespace twinspool;

namespace {

struct Close {
  void operator()(twinspool_client* client) const { twinspool_close(client); }
};
using Client = std::unique_ptr<twinspool_client, Close>;

Client open_client(const std::string& path) {
  twinspool_client* client = nullptr;
  REQUIRE(twinspool_open(&client, path.c_str()) == TWINSPOOL_OK);
  return Client(client);
}

constexpr std::int64_t kEnough = 30'000;  // only ends a test that hangs
const std::string kBody = R"({"t": 1})";

int send(const Client& client, std::int64_t timeout_ms, const char* id = nullptr, const char* twin = "pump-1") {
  twinspool_message message{};
  message.twin = twin;
  message.id = id;
  message.body = kBody.data();
  message.body_bytes = kBody.size();
  return twinspool_send_message(client.get(), &message, timeout_ms);
}

ScriptedPeer::Step stored(int sequence) {
  return {.answer = "HTTP/1.1 204 No Content\r\nTwinspool-Sequence: " + std::to_string(sequence) + "\r\n\r\n"};
}
ScriptedPeer::Step later(const std::string& retry_after) {
  const std::string body = R"({"error":{"message":"inbox is full"}})";
  return {.answer = "HTTP/1.1 503 Service Unavailable\r\nx-ms-error-code: Unavailable\r\nRetry-After: " + retry_after +
                    "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body};
}

}  // namespace

TEST_CASE("a client keeps one connection for many messages", "[client]") {
  const TempDir directory;
  ScriptedPeer peer(directory.file("s"), {stored(1), stored(2), stored(3)});
  const Client client = open_client(directory.file("s"));
  for (std::uint64_t n = 1; n <= 3; ++n) {
    REQUIRE(send(client, kEnough) == TWINSPOOL_OK);
    CHECK(twinspool_sequence(client.get()) == n);
    CHECK(twinspool_attempts(client.get()) == 1);
    CHECK(twinspool_http_status(client.get()) == 204);
  }
  CHECK(peer.connections() == 1);
  CHECK(peer.requests()[0].find(twinspool_id(client.get())) == std::string::npos);
  CHECK(peer.requests()[2].find(twinspool_id(client.get())) != std::string::npos);
}

TEST_CASE("whatever goes wrong on the way, the same bytes are sent again", "[client]") {
  const TempDir directory;
  ScriptedPeer peer(directory.file("s"), {{.answer = "", .close = true},                     // no answer
                                          {.answer = "HTTP/1.1 204 No Con", .close = true},  // a cut one
                                          {.answer = "garbage\r\n\r\n"},                     // none of ours
                                          later("0"),                                        // busy
                                          {.answer = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"},
                                          stored(7)});
  const Client client = open_client(directory.file("s"));
  REQUIRE(send(client, kEnough) == TWINSPOOL_OK);
  CHECK(twinspool_attempts(client.get()) == 6);
  CHECK(twinspool_sequence(client.get()) == 7);
  for (const std::string& request : peer.requests()) CHECK(request == peer.requests()[0]);
  CHECK(peer.requests()[0].find("Telemetry-Source-Time: 20") != std::string::npos);  // of the call, not of the attempt
}

TEST_CASE("a connection that was closed while it was idle costs one more attempt and no message", "[client]") {
  const TempDir directory;
  ScriptedPeer peer(directory.file("s"), {{.answer = stored(1).answer, .close = true}, stored(2)});
  const Client client = open_client(directory.file("s"));
  REQUIRE(send(client, kEnough) == TWINSPOOL_OK);
  REQUIRE(send(client, kEnough) == TWINSPOOL_OK);
  CHECK(twinspool_sequence(client.get()) == 2);
  CHECK(peer.requests().size() == 2);
}

TEST_CASE("a Retry-After is waited for, also over several calls", "[client]") {
  const TempDir directory;
  ScriptedPeer peer(directory.file("s"), {later("3600")});
  const Client client = open_client(directory.file("s"));
  CHECK(send(client, 1000) == TWINSPOOL_TIMED_OUT);
  CHECK(twinspool_resume(client.get(), 50) == TWINSPOOL_TIMED_OUT);
  CHECK(twinspool_resume(client.get(), 0) == TWINSPOOL_TIMED_OUT);
  CHECK(twinspool_attempts(client.get()) == 1);
  CHECK(std::string(twinspool_text(client.get())).find("503 Unavailable: inbox is full") != std::string::npos);
  CHECK(peer.requests().size() == 1);
}

TEST_CASE("an unfinished message stays in the client until it is stored or given up", "[client]") {
  const TempDir directory;
  const Client client = open_client(directory.file("s"));
  REQUIRE(send(client, 0, "id-1") == TWINSPOOL_TIMED_OUT);  // nobody is there
  CHECK(twinspool_is_unfinished(client.get()) == 1);
  CHECK(twinspool_http_status(client.get()) == 0);
  CHECK(std::string(twinspool_text(client.get())).find("No such file") != std::string::npos);
  CHECK(send(client, 0, "id-2") == TWINSPOOL_UNFINISHED);
  CHECK(std::string(twinspool_id(client.get())) == "id-1");

  ScriptedPeer peer(directory.file("s"), {stored(1), stored(2)});
  REQUIRE(twinspool_resume(client.get(), kEnough) == TWINSPOOL_OK);
  CHECK(twinspool_is_unfinished(client.get()) == 0);
  CHECK(twinspool_resume(client.get(), kEnough) == TWINSPOOL_OK);  // nothing left to do
  REQUIRE(send(client, kEnough, "id-2") == TWINSPOOL_OK);
  CHECK(peer.requests()[0].find("Message-Id: id-1\r\n") != std::string::npos);
  CHECK(peer.requests()[1].find("Message-Id: id-2\r\n") != std::string::npos);
}

TEST_CASE("a message that was given up is not sent any more", "[client]") {
  const TempDir directory;
  const Client client = open_client(directory.file("s"));
  REQUIRE(send(client, 0, "id-1") == TWINSPOOL_TIMED_OUT);
  twinspool_abandon(client.get());
  ScriptedPeer peer(directory.file("s"), {stored(1)});
  REQUIRE(send(client, kEnough, "id-2") == TWINSPOOL_OK);
  CHECK(peer.requests()[0].find("id-2") != std::string::npos);
}

TEST_CASE("a refusal ends a message at once and says why", "[client]") {
  const TempDir directory;
  const std::string body = R"({"error":{"code":"ValidationFailed","message":"the body is an array"}})";
  ScriptedPeer peer(directory.file("s"),
                    {{.answer = "HTTP/1.1 400 Bad Request\r\nx-ms-error-code: ValidationFailed\r\nContent-Length: " +
                                std::to_string(body.size()) + "\r\n\r\n" + body},
                     stored(1)});
  const Client client = open_client(directory.file("s"));
  CHECK(send(client, kEnough) == TWINSPOOL_REFUSED);
  CHECK(twinspool_http_status(client.get()) == 400);
  CHECK(twinspool_attempts(client.get()) == 1);
  CHECK(std::string(twinspool_error_code(client.get())) == "ValidationFailed");
  CHECK(std::string(twinspool_answer_body(client.get())) == body);
  CHECK(std::string(twinspool_text(client.get())) == "refused with 400 ValidationFailed: the body is an array");
  CHECK(twinspool_is_unfinished(client.get()) == 0);
  CHECK(send(client, kEnough) == TWINSPOOL_OK);  // the next one goes
  CHECK(peer.connections() == 1);
}

TEST_CASE("a batch is one request, and repeated as one", "[client]") {
  const TempDir directory;
  ScriptedPeer peer(
      directory.file("s"),
      {{.answer = "", .close = true},
       {.answer = "HTTP/1.1 204 No Content\r\nTwinspool-Accepted: 2\r\nTwinspool-Duplicates: 1\r\n\r\n"}});
  const Client client = open_client(directory.file("s"));
  twinspool_message messages[2] = {};
  for (twinspool_message& message : messages) {
    message.twin = "pump-1";
    message.body = kBody.data();
    message.body_bytes = kBody.size();
  }
  messages[1].id = "mine";
  REQUIRE(twinspool_send_batch(client.get(), messages, 2, kEnough) == TWINSPOOL_OK);
  CHECK(twinspool_duplicates(client.get()) == 1);
  REQUIRE(peer.requests().size() == 2);
  CHECK(peer.requests()[0] == peer.requests()[1]);
  CHECK(peer.requests()[0].find("\"messageId\":\"mine\"") != std::string::npos);

  messages[1].twin = "";
  CHECK(twinspool_send_batch(client.get(), messages, 2, kEnough) == TWINSPOOL_INVALID_ARGUMENT);
  CHECK(std::string(twinspool_text(client.get())) == "message 2 of 2: the twin's id is empty, a name is accepted");
  CHECK(twinspool_is_unfinished(client.get()) == 0);
  CHECK(twinspool_send_batch(client.get(), messages, 0, kEnough) == TWINSPOOL_OK);
}

TEST_CASE("arguments that cannot work are refused without a daemon", "[client]") {
  twinspool_client* none = nullptr;
  CHECK(twinspool_open(&none, std::string(200, 'x').c_str()) == TWINSPOOL_INVALID_ARGUMENT);
  CHECK(none == nullptr);
  CHECK(twinspool_open(nullptr, nullptr) == TWINSPOOL_INVALID_ARGUMENT);
  twinspool_close(nullptr);
  const Client client = open_client("/nowhere/s");
  CHECK(twinspool_send(client.get(), "", "{}", 2, 0) == TWINSPOOL_INVALID_ARGUMENT);
  CHECK(twinspool_send(client.get(), "pump-1", nullptr, 0, 0) == TWINSPOOL_INVALID_ARGUMENT);
  CHECK(send(client, 0, std::string(1025, 'x').c_str()) == TWINSPOOL_INVALID_ARGUMENT);
  CHECK(twinspool_is_unfinished(client.get()) == 0);
  CHECK(std::string(twinspool_status_name(TWINSPOOL_REFUSED)) == "TWINSPOOL_REFUSED");
  CHECK(std::string(twinspool_status_name(-1)) == "?");
}
