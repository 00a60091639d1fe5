#include "http/client.h"

#include <chrono>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/memory_stream.h"

using namespace twinspool;
using namespace std::chrono_literals;
using http::ClientConnection;
using http::Response;

namespace {

std::string describe(const Result<Response>& result) {
  if (result) return std::to_string(result->status) + ' ' + result->body;
  switch (result.error().code) {
    case Errc::timeout:
      return "timeout";
    case Errc::closed:
      return "closed";
    case Errc::protocol:
      return "protocol";
    default:
      return "other";
  }
}

struct House {
  House() {
    auto [ours, theirs] = MemoryStream::pair(loop);
    near = ours.get();
    peer = std::move(theirs);
    peer->start(peer_heard);
    client = std::make_unique<ClientConnection>(loop, std::move(ours), limits(), [this] { ++closed; });
  }
  static http::ParserLimits limits() {
    http::ParserLimits limits;
    limits.body_bytes_max = 100;
    return limits;
  }
  void turn(int turns = 50) {
    for (int i = 0; i < turns; ++i) loop.run_turn();
  }
  void send(const std::string& request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", Duration timeout = 10s) {
    client->send(request, loop.now() + timeout, [this](Result<Response> result) {
      results.push_back(describe(result));
      whats.push_back(result ? "" : result.error().what);
    });
  }
  void answer(const std::string& bytes) {
    peer->write(bytes);
    turn();
  }

  net::EventLoop loop{net::EventLoop::Clock::manual};
  MemoryStream* near = nullptr;
  std::unique_ptr<MemoryStream> peer;
  RecordingObserver peer_heard;
  std::vector<std::string> results;
  std::vector<std::string> whats;
  int closed = 0;
  std::unique_ptr<ClientConnection> client;
};

using Results = std::vector<std::string>;
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

}  // namespace

TEST_CASE("a connection carries one request after the other", "[http][client]") {
  House house;
  house.send();
  CHECK(house.client->unanswered() == 1);
  house.turn();
  CHECK(house.peer_heard.received == "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(house.results.empty());
  house.answer(kOk);
  CHECK(house.results == Results{"200 ok"});
  house.send();
  house.answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
  CHECK(house.results == Results{"200 ok", "204 "});
  CHECK(house.client->usable());
  CHECK(house.client->unanswered() == 0);
}

TEST_CASE("pipelined answers belong to the requests in their order, in any split", "[http][client]") {
  const std::string answers = kOk + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" +
                              "HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
  for (std::size_t at = 1; at < answers.size(); ++at) {
    House house;
    house.near->split({at});
    house.send();
    house.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    house.send();
    house.answer(answers);
    REQUIRE(house.results == Results{"200 ok", "200 ", "400 x"});
    REQUIRE(house.client->usable());
  }
}

TEST_CASE("an answer cut anywhere is never a success", "[http][client]") {
  for (const std::string& bytes :
       {kOk, std::string("HTTP/1.1 204 No Content\r\n\r\n"),
        std::string("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")}) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      for (const bool reset : {false, true}) {
        House house;
        house.send();
        if (size > 0) house.answer(bytes.substr(0, size));
        if (reset) {
          house.near->fail({Errc::closed, "reset"});
        } else {
          house.peer->finish_writing();
        }
        house.turn();
        INFO(bytes.substr(0, size));
        REQUIRE(house.results == Results{"closed"});
        CHECK_FALSE(house.client->usable());
        CHECK(house.closed == 0);
        if (size == 0) CHECK(house.whats[0].find("before an answer") != std::string::npos);
        if (size > 0 && size < 17) CHECK(house.whats[0].find("in the middle") != std::string::npos);
      }
    }
  }
}

TEST_CASE("an answer that lasts to the end of the connection is complete there", "[http][client]") {
  House house;
  house.send();
  house.send();
  house.answer("HTTP/1.0 502 Bad Gateway\r\n\r\n<html>");
  CHECK(house.results.empty());
  house.peer->finish_writing();
  house.turn();
  CHECK(house.results == Results{"502 <html>", "closed"});
  CHECK_FALSE(house.client->usable());
}

TEST_CASE("Connection: close makes the connection useless and fails what was pipelined behind", "[http][client]") {
  House house;
  house.send();
  house.send();
  house.answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok" + kOk);
  CHECK(house.results == Results{"200 ok", "closed"});
  CHECK_FALSE(house.client->usable());
  house.send();
  CHECK(house.results.size() == 2);
  house.turn();
  CHECK(house.results.back() == "closed");
}

TEST_CASE("an invalid answer is a protocol error", "[http][client]") {
  for (const std::string& bytes :
       {std::string("220 smtp.example.org ESMTP\r\n\r\n"), std::string("\x15\x03\x01"),
        std::string("HTTP/2.0 200 OK\r\n\r\n"), std::string("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
        "HTTP/1.1 200 OK\r\nA: " + std::string(20000, 'a') + "\r\n\r\n"}) {
    House house;
    house.send();
    house.send();
    house.answer(bytes);
    CHECK(house.results == Results{"protocol", "protocol"});
    CHECK_FALSE(house.client->usable());
  }
}

TEST_CASE("a huge body does not hide its status", "[http][client]") {
  House house;
  house.send();
  house.answer("HTTP/1.1 503 No\r\nContent-Length: 100000\r\n\r\n" + std::string(100000, 'x'));
  CHECK(house.results == Results{"503 " + std::string(100, 'x')});
  CHECK_FALSE(house.client->usable());
}

TEST_CASE("bytes that nobody asked for make the connection useless", "[http][client]") {
  House house;
  SECTION("on a fresh connection") {}
  SECTION("after an answer") {
    house.send();
    house.answer(kOk);
    REQUIRE(house.client->usable());
  }
  const Results before = house.results;
  house.answer(kOk);
  CHECK(house.closed == 1);
  CHECK_FALSE(house.client->usable());
  CHECK(house.results == before);
  house.peer->finish_writing();
  house.turn();
  CHECK(house.closed == 1);
}

TEST_CASE("bytes behind an answer are never the answer to the next request", "[http][client]") {
  for (const std::string& surplus : {kOk, std::string("H"), std::string("ok")}) {
    House house;
    house.client->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n", house.loop.now() + 10s, [&](Result<Response> result) {
      house.results.push_back(describe(result));
      house.send();  // at once, from inside the answer
    });
    house.answer("HTTP/1.1 204 No Content\r\n\r\n" + surplus);
    CHECK(house.results == Results{"204 ", "closed"});
    CHECK_FALSE(house.client->usable());
  }
}

TEST_CASE("the peer's end on an idle connection is told once", "[http][client]") {
  House house;
  house.send();
  house.answer(kOk);
  house.peer->finish_writing();
  house.turn();
  CHECK(house.closed == 1);
  CHECK_FALSE(house.client->usable());
}

TEST_CASE("a request whose time is over fails, and the connection with it", "[http][client]") {
  House house;
  house.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 10s);
  house.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 60s);
  house.answer("HTTP/1.1 200 OK\r\nContent-Le");
  house.loop.advance(10s - 1ms);
  house.turn();
  CHECK(house.results.empty());
  house.loop.advance(1ms);
  house.turn();
  CHECK(house.results == Results{"timeout", "closed"});
  CHECK_FALSE(house.client->usable());
  house.answer("ngth: 0\r\n\r\n");  // too late
  CHECK(house.results.size() == 2);
}

TEST_CASE("a later request whose time is over first is not late for the earlier one's deadline", "[http][client]") {
  House house;
  house.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 60s);
  house.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 10s);
  house.loop.advance(10s);
  house.turn();
  CHECK(house.results == Results{"closed", "timeout"});
}

TEST_CASE("the deadline of an answered request does not concern the next", "[http][client]") {
  House house;
  house.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 10s);
  house.answer(kOk);
  house.loop.advance(8s);
  house.turn();
  house.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 10s);
  house.loop.advance(8s);
  house.turn();
  CHECK(house.results.size() == 1);
  house.loop.advance(3s);
  house.turn();
  CHECK(house.results == Results{"200 ok", "timeout"});
}

TEST_CASE("a connection may be retired from inside its answer", "[http][client]") {
  House house;
  house.client->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n", house.loop.now() + 10s, [&](Result<Response> result) {
    house.results.push_back(describe(result));
    house.loop.retire(std::move(house.client));
  });
  house.answer(kOk);
  CHECK(house.results == Results{"200 ok"});
  CHECK(house.peer_heard.ends + static_cast<int>(house.peer_heard.failures.size()) == 1);
}

TEST_CASE("after the end of a connection no answer is told", "[http][client]") {
  House house;
  house.send();
  house.client.reset();
  house.peer->write(kOk);
  house.turn();
  CHECK(house.results.empty());
}
