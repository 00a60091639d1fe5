#include "forward/exchange.h"

#include <optional>

#include "support/catch.h"
#include "support/memory_stream.h"
#include "support/run_until.h"

namespace twinspool::forward {
namespace {

using namespace std::chrono_literals;

// Gives one end of a memory pair, the test plays the server on the other.
struct FakeDialer final : Dialer {
  struct Now final : net::Pending {
    Now(net::EventLoop& loop, std::function<void()> work) : deferred(loop, std::move(work)) { deferred.post(); }
    net::Deferred deferred;
  };
  explicit FakeDialer(net::EventLoop& on) : loop(on) {}
  std::unique_ptr<net::Pending> dial(Dialed done) override {
    return std::make_unique<Now>(loop, [this, done = std::move(done)] {
      if (!reachable) return done(fail(Errc::unreachable, "no route"));
      auto [ours, theirs] = MemoryStream::pair(loop);
      server = std::move(theirs);
      server->start(heard);
      done(std::move(ours));
    });
  }
  net::EventLoop& loop;
  bool reachable = true;
  RecordingObserver heard;
  std::unique_ptr<MemoryStream> server;
};

struct Fixture {
  net::EventLoop loop{net::EventLoop::Clock::manual};
  FakeDialer dialer{loop};
  std::optional<Result<http::Response>> result;
  std::unique_ptr<net::Pending> pending;

  void begin() {
    pending = exchange(loop, dialer, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 5s, [this](Result<http::Response> answer) {
      REQUIRE_FALSE(result.has_value());
      result = std::move(answer);
      loop.retire(std::move(pending));
    });
    CHECK_FALSE(result.has_value());
    run_turns(loop, 5);
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "an exchange gives the whole answer and closes its connection", "[forward][exchange]") {
  begin();
  CHECK(dialer.heard.received == "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  dialer.server->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
  run_turns(loop, 5);
  REQUIRE(result);
  REQUIRE(*result);
  CHECK((*result)->body == "{}");
  CHECK(dialer.server->peer_gone());
}

TEST_CASE_METHOD(Fixture, "a peer that dribbles a byte a second ends at the deadline", "[forward][exchange]") {
  begin();
  for (const char byte : std::string("HTTP/1.1 200 OK")) {
    if (result) break;
    dialer.server->write(std::string(1, byte));
    run_turns(loop, 3);
    loop.advance(1s);
    run_turns(loop, 3);
  }
  REQUIRE(result);
  CHECK(result->error().code == Errc::timeout);
  CHECK(dialer.server->peer_gone());
}

TEST_CASE_METHOD(Fixture, "an exchange that is given up hears nothing of an answer that comes in the same turn",
                 "[forward][exchange]") {
  begin();
  loop.post([this] { pending.reset(); });
  dialer.server->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
  run_turns(loop, 5);
  CHECK_FALSE(result);
  CHECK(dialer.server->peer_gone());
}

TEST_CASE_METHOD(Fixture, "a dial that fails and a connection that ends are told", "[forward][exchange]") {
  SECTION("dial") {
    dialer.reachable = false;
    begin();
    CHECK(result->error().what == "no route");
  }
  SECTION("end") {
    begin();
    dialer.server->finish_writing();
    run_turns(loop, 5);
    CHECK(result->error().code == Errc::closed);
  }
}

TEST_CASE_METHOD(Fixture, "an answer beyond all measure is cut at the limit", "[forward][exchange]") {
  begin();
  dialer.server->write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(500'000, ' '));
  run_turns(loop, 100);
  REQUIRE(result);
  REQUIRE(*result);
  CHECK((*result)->body.size() <= kExchangeBodyBytesMax);
}

TEST_CASE_METHOD(Fixture, "an exchange may be given up in every step", "[forward][exchange]") {
  const int turns = GENERATE(0, 1, 2, 3, 4);
  pending = exchange(loop, dialer, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 5s,
                     [this](Result<http::Response> answer) { result = std::move(answer); });
  run_turns(loop, turns);
  pending.reset();
  run_turns(loop, 10);
  CHECK_FALSE(result.has_value());
}

}  // namespace twinspool::forward
