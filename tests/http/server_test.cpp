#include "http/server.h"

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/memory_stream.h"

using namespace twinspool;
using namespace std::chrono_literals;
using http::ExchangeId;
using http::Request;
using http::Response;
using http::Server;
using http::ServerOptions;

namespace {

struct ScriptedHandler final : Server::Handler {
  std::optional<Response> on_head(const Request& head, const net::PeerCredentials&,
                                  std::size_t& body_bytes_max) override {
    if (head.target == "/big") body_bytes_max = 100;
    if (head.target == "/refused") return Response{.status = 404, .headers = {}, .body = "no"};
    return std::nullopt;
  }
  void on_request(ExchangeId exchange, Request&& request, const net::PeerCredentials& peer) override {
    uid = peer.uid;
    requests.push_back(request);
    exchanges.push_back(exchange);
    if (answer) answer(exchange, request);
  }
  Response on_fault(int status, const std::string& reason) override {
    CHECK_FALSE(reason.empty());
    return {.status = status, .headers = {{"X-Fault", "1"}}, .body = ""};
  }

  std::function<void(ExchangeId, const Request&)> answer;
  std::vector<Request> requests;
  std::vector<ExchangeId> exchanges;
  uid_t uid = 0;
};

struct FakeListener final : net::Listener {
  explicit FakeListener(bool& given_paused, bool given_waiting = false)
      : is_paused(given_paused), is_waiting(given_waiting) {}
  void pause() override { is_paused = true; }
  void resume() override { is_paused = false; }
  bool has_waiting() const override { return is_waiting; }
  std::uint16_t port() const override { return 0; }
  bool& is_paused;
  bool is_waiting;
};

struct Client {
  std::unique_ptr<MemoryStream> stream;
  RecordingObserver heard;
};

// Answers without their Date, which every one must have.
std::string undated(std::string text) {
  for (std::size_t at = text.find("Date: "); at != std::string::npos; at = text.find("Date: ")) {
    REQUIRE(text.substr(at + 31, 6) == " GMT\r\n");
    text.erase(at, 37);
  }
  return text;
}

std::vector<int> statuses(const std::string& text) {
  std::vector<int> found;
  for (std::size_t at = text.find("HTTP/1.1 "); at != std::string::npos; at = text.find("HTTP/1.1 ", at + 1)) {
    found.push_back(std::stoi(text.substr(at + 9, 3)));
  }
  return found;
}

struct House {
  explicit House(const ServerOptions& options = {}) : server(loop, options, handler) {
    handler.answer = [this](ExchangeId exchange, const Request& request) {
      server.respond(exchange, {.status = 200, .headers = {}, .body = request.target + request.body});
    };
  }
  Client& connect() {
    auto [ours, theirs] = MemoryStream::pair(loop);
    auto client = std::make_unique<Client>();
    client->stream = std::move(ours);
    client->stream->start(client->heard);
    last_server_end = theirs.get();
    server.add(std::move(theirs), {.pid = 1, .uid = 77, .gid = 7});
    clients.push_back(std::move(client));
    return *clients.back();
  }
  void turn(int turns = 50) {
    for (int i = 0; i < turns; ++i) loop.run_turn();
  }
  void pass(Duration time) {
    loop.advance(time);
    turn();
  }
  std::string talk(Client& client, const std::string& bytes) {
    const std::size_t before = client.heard.received.size();
    client.stream->write(bytes);
    turn();
    return undated(client.heard.received.substr(before));
  }
  static bool over(const Client& client) { return client.heard.ends > 0 || !client.heard.failures.empty(); }

  net::EventLoop loop{net::EventLoop::Clock::manual};
  ScriptedHandler handler;
  std::vector<std::unique_ptr<Client>> clients;
  MemoryStream* last_server_end = nullptr;
  Server server;
};

std::string get(const std::string& target, const std::string& headers = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
}

std::string post(const std::string& target, const std::string& headers, const std::string& body = "") {
  return "POST " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n" + body;
}

std::string ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

TEST_CASE("a connection answers one request after the other", "[http][server]") {
  House house;
  Client& client = house.connect();
  CHECK(house.talk(client, get("/a")) == ok("/a"));
  CHECK(house.talk(client, post("/b", "Content-Length: 2\r\n", "{}")) == ok("/b{}"));
  CHECK(house.talk(client, post("/c", "Transfer-Encoding: chunked\r\n", "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")) ==
        ok("/c{}"));
  CHECK(house.talk(client, post("/d", "Content-Length: 0\r\n")) == ok("/d"));
  CHECK(house.handler.uid == 77);
  CHECK(house.server.connections() == 1);
  CHECK(house.server.unanswered() == 0);
  CHECK_FALSE(House::over(client));
}

TEST_CASE("answers given in any order go out in the order of the requests", "[http][server]") {
  House house;
  house.handler.answer = nullptr;
  Client& client = house.connect();
  CHECK(house.talk(client, get("/0") + get("/1") + get("/2") + get("/3")).empty());
  REQUIRE(house.handler.exchanges.size() == 4);
  CHECK(house.server.unanswered() == 4);
  const auto answer = [&](std::size_t i) {
    house.server.respond(house.handler.exchanges[i], {.status = 200, .headers = {}, .body = std::to_string(i)});
  };

  answer(2);
  answer(1);
  house.turn();
  CHECK(client.heard.received.empty());
  answer(0);
  answer(0);  // once is enough
  house.turn();
  CHECK(undated(client.heard.received) == ok("0") + ok("1") + ok("2"));
  CHECK(client.heard.deliveries == 1);
  answer(3);
  house.turn();
  CHECK(undated(client.heard.received).ends_with(ok("3")));
  CHECK(house.server.unanswered() == 0);
}

TEST_CASE("any split of pipelined requests gives the same answers", "[http][server]") {
  const std::string bytes = post("/a", "Content-Length: 2\r\n", "{}") + get("/b") +
                            post("/c", "Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n") +
                            post("/refused", "Content-Length: 3\r\n", "abc") + get("/d", "Connection: close\r\n") +
                            get("/never");
  House whole_house;
  const std::string whole = whole_house.talk(whole_house.connect(), bytes);
  CHECK(statuses(whole) == std::vector<int>{200, 200, 200, 404, 200});
  for (std::size_t at = 1; at < bytes.size(); at += 3) {
    House house;
    Client& client = house.connect();
    house.last_server_end->split({at});
    REQUIRE(house.talk(client, bytes) == whole);
  }
  House house;
  Client& client = house.connect();
  house.last_server_end->deliver_at_most(1);
  client.stream->write(bytes);
  house.turn(2000);
  CHECK(undated(client.heard.received) == whole);
}

TEST_CASE("Connection: close ends the connection after its answer", "[http][server]") {
  House house;
  Client& client = house.connect();
  CHECK(house.talk(client, get("/a", "Connection: close\r\n") + get("/b")) ==
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n/a");
  CHECK(client.heard.ends == 1);
  CHECK(house.server.connections() == 1);  // lingers until the client ends too
  client.stream->finish_writing();
  house.turn();
  CHECK(house.server.connections() == 0);
}

TEST_CASE("a client that does not end after its last answer is not waited for long", "[http][server]") {
  House house;
  Client& client = house.connect();
  house.talk(client, get("/a", "Connection: close\r\n"));
  house.talk(client, std::string(10000, 'x'));
  CHECK(house.server.connections() == 1);
  house.pass(3s);
  CHECK(house.server.connections() == 0);
}

TEST_CASE("lost framing is answered, then the connection ends", "[http][server]") {
  const struct {
    std::string bytes;
    int status;
  } vectors[] = {
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
      {"GET / HTTP/1.0\r\nHost: x\r\n\r\n", 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
      {get("/", "A: " + std::string(20000, 'a') + "\r\n"), 431},
      {post("/", "Content-Length: 99999999\r\n"), 413},
      {post("/", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {post("/", "Transfer-Encoding: chunked\r\n", "x\r\n"), 400},
  };
  for (const auto& vector : vectors) {
    INFO(vector.bytes.substr(0, 80));
    House house;
    Client& client = house.connect();
    const std::string answers = house.talk(client, get("/first") + vector.bytes + get("/never"));
    CHECK(statuses(answers) == std::vector<int>{200, vector.status});
    CHECK(answers.ends_with("X-Fault: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    CHECK(client.heard.ends == 1);
    CHECK(house.handler.requests.size() == 1);
  }
}

TEST_CASE("a fault's answer waits for the answers before it", "[http][server]") {
  House house;
  house.handler.answer = nullptr;
  Client& client = house.connect();
  CHECK(house.talk(client, get("/slow") + "garbage\n").empty());
  house.server.respond(house.handler.exchanges.at(0), {.status = 204, .headers = {}, .body = ""});
  house.turn();
  CHECK(statuses(client.heard.received) == std::vector<int>{204, 400});
}

TEST_CASE("refusals do not end a keep-alive connection", "[http][server]") {
  House house;
  Client& client = house.connect();
  CHECK(statuses(house.talk(client, post("/refused", "Content-Length: 50000\r\n", std::string(50000, 'x')))) ==
        std::vector<int>{404});
  CHECK(statuses(house.talk(client, post("/", "Content-Length: 50000\r\n", std::string(50000, 'x')))) ==
        std::vector<int>{413});
  CHECK(statuses(house.talk(client, post("/big", "Content-Length: 101\r\n", std::string(101, 'x')))) ==
        std::vector<int>{413});
  CHECK(statuses(house.talk(client, post("/", ""))) == std::vector<int>{411});
  CHECK(statuses(house.talk(client, post("/big", "Content-Length: 100\r\n", std::string(100, 'x')))) ==
        std::vector<int>{200});
  CHECK(house.handler.requests.size() == 1);
  CHECK_FALSE(House::over(client));
}

TEST_CASE("a POST without a length is a POST without a body where that is allowed", "[http][server]") {
  ServerOptions options;
  options.length_required = false;
  House house(options);
  CHECK(house.talk(house.connect(), post("/pause", "")) == ok("/pause"));
}

TEST_CASE("the answer to HEAD carries no body", "[http][server]") {
  House house;
  Client& client = house.connect();
  CHECK(house.talk(client, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + get("/b")) ==
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + ok("/b"));
}

TEST_CASE("100 Continue is sent for an admitted request, and in order", "[http][server]") {
  House house;
  Client& client = house.connect();
  const std::string expect = "Expect: 100-continue\r\nContent-Length: 2\r\n";
  CHECK(house.talk(client, post("/a", expect)) == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(house.talk(client, "{}") == ok("/a{}"));

  house.handler.answer = nullptr;
  CHECK(house.talk(client, get("/slow") + post("/b", expect)).empty());
  const std::size_t before = client.heard.received.size();
  house.server.respond(house.handler.exchanges.back(), {.status = 204, .headers = {}, .body = ""});
  house.turn();
  CHECK(statuses(client.heard.received.substr(before)) == std::vector<int>{204, 100});
}

TEST_CASE("a request refused before its expected body ends the connection, and its body is never a request",
          "[http][server]") {
  const std::string smuggled = get("/smuggled");
  const std::string expect = "Expect: 100-continue\r\nContent-Length: " + std::to_string(smuggled.size()) + "\r\n";
  const struct {
    std::string head;
    int status;
  } vectors[] = {
      {post("/refused", expect), 404},
      {post("/", "Expect: 100-continue\r\nContent-Length: 40000\r\n"), 413},
      {post("/", "Expect: tea\r\nContent-Length: 30\r\n"), 417},
  };
  for (const auto& vector : vectors) {
    for (const bool at_once : {false, true}) {
      House house;
      Client& client = house.connect();
      const std::string answer = house.talk(client, at_once ? vector.head + smuggled : vector.head);
      CHECK(statuses(answer) == std::vector<int>{vector.status});
      CHECK(answer.find("Connection: close\r\n") != std::string::npos);
      CHECK(client.heard.ends == 1);
      CHECK(house.talk(client, smuggled).empty());
      CHECK(house.handler.requests.empty());
    }
  }
  House house;
  Client& client = house.connect();
  CHECK(statuses(house.talk(client, get("/", "Expect: tea\r\n") + get("/a"))) == std::vector<int>{417, 200});
}

TEST_CASE("a client that ended its side still gets its answers", "[http][server]") {
  House house;
  house.handler.answer = nullptr;
  Client& client = house.connect();
  client.stream->write(get("/a") + get("/b") + "GET /cut");
  client.stream->finish_writing();
  house.turn();
  REQUIRE(house.handler.exchanges.size() == 2);
  CHECK(house.server.connections() == 1);
  house.server.respond(house.handler.exchanges[1], {.status = 204, .headers = {}, .body = ""});
  house.server.respond(house.handler.exchanges[0], {.status = 200, .headers = {}, .body = ""});
  house.turn();
  CHECK(statuses(client.heard.received) == std::vector<int>{200, 204});
  CHECK(house.server.connections() == 0);
}

TEST_CASE("an idle connection ends without a word, one with half a request with 408", "[http][server]") {
  House house;
  Client& idle = house.connect();
  Client& half = house.connect();
  house.talk(half, "GET /");
  house.pass(29s);
  CHECK_FALSE(House::over(half));
  house.pass(2s);
  CHECK(statuses(half.heard.received) == std::vector<int>{408});
  CHECK(House::over(half));
  CHECK_FALSE(House::over(idle));
  house.talk(idle, get("/a"));
  house.pass(5min - 1s);
  CHECK_FALSE(House::over(idle));
  house.pass(2s);
  CHECK(House::over(idle));
  CHECK(statuses(idle.heard.received) == std::vector<int>{200});
  CHECK(house.server.connections() == 0);
}

TEST_CASE("a request that trickles in does not live longer for it", "[http][server]") {
  House house;
  Client& client = house.connect();
  house.talk(client, get("/a") + "GET /b HTTP/1.1\r\n");
  for (int i = 0; i < 29; ++i) {
    house.loop.advance(1s);
    CHECK(house.talk(client, "A: b\r\n").empty());
  }
  house.pass(2s);
  CHECK(statuses(client.heard.received) == std::vector<int>{200, 408});
}

TEST_CASE("a request that waits for our answer does not time out", "[http][server]") {
  House house;
  house.handler.answer = nullptr;
  Client& client = house.connect();
  house.talk(client, get("/a"));
  for (int i = 0; i < 5; ++i) house.pass(5min);
  CHECK(house.server.connections() == 1);
  house.server.respond(house.handler.exchanges.at(0), {.status = 204, .headers = {}, .body = ""});
  house.turn();
  CHECK(statuses(client.heard.received) == std::vector<int>{204});
}

TEST_CASE("no more than pipeline_max requests of a connection are read", "[http][server]") {
  ServerOptions options;
  options.pipeline_max = 3;
  House house(options);
  house.handler.answer = nullptr;
  Client& client = house.connect();
  std::string bytes;
  for (int i = 0; i < 10; ++i) bytes += get("/" + std::to_string(i));
  house.talk(client, bytes);
  CHECK(house.handler.requests.size() == 3);
  for (std::size_t i = 0; i < 10; ++i) {
    REQUIRE(house.handler.exchanges.size() > i);
    CHECK(house.server.unanswered() <= 3);
    house.server.respond(house.handler.exchanges[i],
                         {.status = 200, .headers = {}, .body = house.handler.requests[i].target});
    house.turn();
  }
  std::string expected;
  for (int i = 0; i < 10; ++i) expected += ok("/" + std::to_string(i));
  CHECK(undated(client.heard.received) == expected);
}

TEST_CASE("a client that does not read its answers is not read", "[http][server]") {
  ServerOptions options;
  options.unwritten_bytes_max = 1000;
  House house(options);
  house.handler.answer = [&](ExchangeId exchange, const Request&) {
    house.server.respond(exchange, {.status = 200, .headers = {}, .body = std::string(400, 'x')});
  };
  Client& client = house.connect();
  client.stream->set_capacity(0);
  std::string bytes;
  for (int i = 0; i < 20; ++i) bytes += get("/");
  house.talk(client, bytes);
  CHECK(house.handler.requests.size() < 5);
  client.stream->set_capacity(100000);
  house.turn();
  CHECK(statuses(client.heard.received).size() == 20);
}

TEST_CASE("listeners wait while connections_max clients are there", "[http][server]") {
  ServerOptions options;
  options.connections_max = 2;
  House house(options);
  bool first = false;
  bool second = false;
  house.server.adopt(std::make_unique<FakeListener>(first));
  house.connect();
  CHECK_FALSE(first);
  house.connect();
  CHECK(first);
  house.server.adopt(std::make_unique<FakeListener>(second));
  CHECK(second);
  house.clients.erase(house.clients.begin());
  house.turn();
  CHECK_FALSE(first);
  CHECK_FALSE(second);
}

TEST_CASE("whoever has been idle longest makes room for those who wait, and nobody who is busy does",
          "[http][server]") {
  ServerOptions options;
  options.connections_max = 3;
  House house(options);
  bool paused = false;
  house.server.adopt(std::make_unique<FakeListener>(paused, true));
  const Client& idle = house.connect();
  Client& half = house.connect();
  house.talk(half, "GET / HTTP/1.1\r\n");
  Client& waiting = house.connect();
  house.handler.answer = nullptr;
  house.talk(waiting, get("/"));
  CHECK(paused);
  house.pass(900ms);
  CHECK(paused);  // nobody is closed for a moment's rest
  house.pass(1200ms);
  CHECK(House::over(idle));
  CHECK_FALSE(House::over(half));
  CHECK_FALSE(House::over(waiting));
  CHECK_FALSE(paused);
}

TEST_CASE("idle connections are left alone where nobody waits", "[http][server]") {
  ServerOptions options;
  options.connections_max = 1;
  House house(options);
  bool paused = false;
  house.server.adopt(std::make_unique<FakeListener>(paused));
  const Client& idle = house.connect();
  house.pass(10s);
  CHECK_FALSE(House::over(idle));
  CHECK(paused);
}

TEST_CASE("large bodies have a limit together, until they are answered or their connection is gone", "[http][server]") {
  ServerOptions options;
  options.limits.body_bytes_max = 10;
  options.large_bodies_bytes_max = 150;
  House house(options);
  const auto post = [](std::size_t bytes) {
    return "POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n";
  };
  Client& first = house.connect();
  house.talk(first, post(100));
  Client& second = house.connect();
  CHECK(statuses(house.talk(second, post(60) + std::string(60, 'x'))) == std::vector<int>{503});
  CHECK(statuses(house.talk(second, post(10) + std::string(10, 'x'))) == std::vector<int>{200});  // not a large one
  CHECK(statuses(house.talk(second, post(50) + std::string(50, 'x'))) == std::vector<int>{200});
  CHECK(statuses(house.talk(first, std::string(100, 'x'))) == std::vector<int>{200});
  CHECK(statuses(house.talk(second, post(100) + std::string(100, 'x'))) == std::vector<int>{200});

  house.talk(first, post(100));
  house.clients.erase(house.clients.begin());  // without its body
  house.turn();
  CHECK(statuses(house.talk(second, post(100) + std::string(100, 'x'))) == std::vector<int>{200});

  house.handler.answer = nullptr;  // the body was read, its answer is due
  house.talk(second, post(100) + std::string(100, 'x'));
  Client& third = house.connect();
  CHECK(statuses(house.talk(third, post(60) + std::string(60, 'x'))) == std::vector<int>{503});
  const std::string chunked = "POST /big HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
  CHECK(statuses(house.talk(third, chunked)) == std::vector<int>{503});  // it may become as large as is allowed
}

TEST_CASE("abort ends the connection without an answer", "[http][server]") {
  House house;
  house.handler.answer = [&](ExchangeId exchange, const Request&) { house.server.abort(exchange); };
  Client& client = house.connect();
  CHECK(house.talk(client, get("/a") + get("/b")).empty());
  CHECK(house.handler.requests.size() == 1);
  CHECK(House::over(client));
  CHECK(house.server.connections() == 0);
  CHECK(house.server.unanswered() == 0);
  house.server.respond(house.handler.exchanges.at(0), {.status = 204, .headers = {}, .body = ""});  // dropped
}

TEST_CASE("raw bytes stand where the answer would", "[http][server]") {
  House house;
  house.handler.answer = nullptr;
  Client& client = house.connect();
  house.talk(client, get("/a") + get("/b") + get("/c"));
  house.server.respond_raw(house.handler.exchanges[1], "HTTP/1.1 2", true);
  house.server.respond_raw(house.handler.exchanges[0], "raw ", false);
  house.turn();
  CHECK(client.heard.received == "raw HTTP/1.1 2");
  CHECK(client.heard.ends == 1);
  CHECK(house.server.unanswered() == 0);
  house.server.respond(house.handler.exchanges[2], {.status = 204, .headers = {}, .body = ""});
  house.turn();
  CHECK(client.heard.received == "raw HTTP/1.1 2");
}

TEST_CASE("draining answers what was begun, ends the rest and tells it once", "[http][server]") {
  House house;
  house.handler.answer = nullptr;
  Client& idle = house.connect();
  Client& waiting = house.connect();
  Client& half = house.connect();
  house.talk(waiting, get("/a") + get("/b"));
  house.talk(half, "GET /c HTTP/1.1\r\n");
  bool paused = false;
  house.server.adopt(std::make_unique<FakeListener>(paused));
  int drained = 0;
  house.server.drain([&] { ++drained; });
  CHECK(paused);
  house.turn();
  CHECK(House::over(idle));
  CHECK(drained == 0);
  house.talk(waiting, get("/never"));
  house.talk(half, "Host: x\r\n\r\n" + get("/never"));
  REQUIRE(house.handler.exchanges.size() == 3);
  for (const ExchangeId exchange : house.handler.exchanges)
    house.server.respond(exchange, {.status = 200, .headers = {}, .body = ""});
  house.turn();
  const std::string last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  CHECK(undated(waiting.heard.received) == ok("") + last);
  CHECK(undated(half.heard.received) == last);
  waiting.stream->finish_writing();
  half.stream->finish_writing();
  house.turn();
  CHECK(drained == 1);
  CHECK(house.server.connections() == 0);
  CHECK(House::over(house.connect()) == false);
  house.turn();
  CHECK(house.server.connections() == 0);
}

TEST_CASE("draining waits neither for a request that does not come nor for a client that does not read",
          "[http][server]") {
  House house;
  Client& half = house.connect();
  house.talk(half, get("/a") + "GET /b HTTP/1.1\r\n");
  Client& deaf = house.connect();
  deaf.stream->set_capacity(0);
  house.talk(deaf, get("/c"));
  bool drained = false;
  house.server.drain([&] { drained = true; });
  house.pass(4s);
  CHECK_FALSE(House::over(half));
  CHECK_FALSE(drained);
  house.pass(2s);
  CHECK(statuses(half.heard.received) == std::vector<int>{200, 408});
  CHECK_FALSE(drained);  // the 408 gets its moment to be read
  house.pass(2s);
  CHECK(drained);
  CHECK(house.server.connections() == 0);
}

TEST_CASE("draining gives up a client that reads nothing, in the middle of its next request", "[http][server]") {
  ServerOptions options;
  options.unwritten_bytes_max = 10;
  House house(options);
  house.handler.answer = nullptr;
  Client& client = house.connect();
  client.stream->set_capacity(0);
  house.talk(client, get("/a"));
  house.server.respond(house.handler.exchanges.at(0), {.status = 200, .headers = {}, .body = ""});
  house.turn();
  house.talk(client, "GET /b");
  bool drained = false;
  house.server.drain([&] { drained = true; });
  house.pass(4s);
  CHECK_FALSE(drained);
  house.pass(4s);
  CHECK(drained);
}

TEST_CASE("answers that wait for an earlier one count as unwritten", "[http][server]") {
  ServerOptions options;
  options.unwritten_bytes_max = 1000;
  House house(options);
  house.handler.answer = [&](ExchangeId exchange, const Request& request) {
    if (request.target == "/slow") return;
    house.server.respond(exchange, {.status = 200, .headers = {}, .body = std::string(400, 'x')});
  };
  Client& client = house.connect();
  std::string bytes = get("/slow");
  for (int i = 0; i < 20; ++i) bytes += get("/");
  house.talk(client, bytes);
  CHECK(house.handler.requests.size() < 6);
  house.server.respond(house.handler.exchanges.at(0), {.status = 200, .headers = {}, .body = ""});
  house.turn();
  CHECK(statuses(client.heard.received).size() == 21);
}

TEST_CASE("a request that we do not read for a while is not timed out for it", "[http][server]") {
  ServerOptions options;
  options.unwritten_bytes_max = 10;
  House house(options);
  house.handler.answer = nullptr;
  Client& client = house.connect();
  client.stream->set_capacity(0);
  const std::string request = get("/b");
  house.talk(client, get("/a"));
  house.server.respond(house.handler.exchanges.at(0), {.status = 200, .headers = {}, .body = ""});
  house.turn();
  house.talk(client, request.substr(0, 20));  // read when the answer already waits: reading pauses in the middle
  house.pass(2min);
  client.stream->set_capacity(100000);
  house.turn();
  house.talk(client, request.substr(20));
  house.pass(29s);
  CHECK(house.handler.requests.size() == 2);
  CHECK(statuses(client.heard.received) == std::vector<int>{200});
}

TEST_CASE("draining a server without clients is told as well", "[http][server]") {
  House house;
  bool drained = false;
  house.server.drain([&] { drained = true; });
  CHECK_FALSE(drained);
  house.turn();
  CHECK(drained);
}

TEST_CASE("a connection that fails takes its requests with it", "[http][server]") {
  House house;
  house.handler.answer = nullptr;
  Client& client = house.connect();
  house.talk(client, get("/a"));
  CHECK(house.server.unanswered() == 1);
  house.last_server_end->fail({Errc::closed, "reset"});
  house.turn();
  CHECK(house.server.unanswered() == 0);
  CHECK(house.server.connections() == 0);
}
