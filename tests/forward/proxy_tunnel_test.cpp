#include "forward/proxy_tunnel.h"

#include <optional>

#include "support/catch.h"
#include "support/memory_stream.h"
#include "support/run_until.h"

namespace twinspool::forward {
namespace {

using Opened = Result<std::unique_ptr<net::Stream>>;

// A tunnel that is asked for, and the proxy's end of the connection.
struct Tunnel {
  explicit Tunnel(const std::string& url = "http://proxy:3128") {
    auto [ours, theirs] = MemoryStream::pair(loop);
    near = ours.get();
    proxy = std::move(theirs);
    proxy->start(heard);
    pending = open_tunnel(loop, std::move(ours), *parse_proxy(url), "cloud.test:443", [this](Opened result) {
      REQUIRE_FALSE(opened.has_value());
      opened = std::move(result);
      loop.retire(std::move(pending));
    });
  }
  void settle() { run_turns(loop, 30); }
  void answer(const std::string& bytes) {
    proxy->write(bytes);
    settle();
  }
  Error failure() {
    REQUIRE(opened.has_value());
    REQUIRE_FALSE(opened->has_value());
    return opened->error();
  }

  net::EventLoop loop{net::EventLoop::Clock::manual};
  MemoryStream* near = nullptr;
  RecordingObserver heard;
  std::unique_ptr<MemoryStream> proxy;
  std::optional<Opened> opened;
  std::unique_ptr<net::Pending> pending;
};

void contains(const Error& error, const std::string& part) {
  INFO(error.what);
  CHECK(error.what.find(part) != std::string::npos);
}

const std::string kStands = "HTTP/1.1 200 Connection established\r\n\r\n";

}  // namespace

TEST_CASE("CONNECT asks for the target, without credentials where there are none", "[forward][proxy]") {
  Tunnel open;
  open.settle();
  CHECK(open.heard.received.starts_with("CONNECT cloud.test:443 HTTP/1.1\r\nHost: cloud.test:443\r\n"));
  CHECK(open.heard.received.ends_with("\r\n\r\n"));
  CHECK(open.heard.received.find("Authorization") == std::string::npos);
}

TEST_CASE("credentials are sent as Basic, and nothing that is told shows them", "[forward][proxy]") {
  Tunnel tunnel("http://gateway:hunter2@proxy:3128");
  tunnel.settle();
  CHECK(tunnel.heard.received.find("\r\nProxy-Authorization: Basic Z2F0ZXdheTpodW50ZXIy\r\n") != std::string::npos);
  tunnel.answer("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n");
  contains(tunnel.failure(), "the proxy proxy:3128 refused CONNECT cloud.test:443: HTTP 407");
  contains(tunnel.failure(), "check the user and the password in forward.proxy");
  for (const char* secret : {"hunter2", "gateway", "Z2F0ZXdheTpodW50ZXIy"}) {
    CHECK(tunnel.failure().what.find(secret) == std::string::npos);
  }
}

TEST_CASE("after a 2xx the stream carries everything both ways, in any split of the answer", "[forward][proxy]") {
  for (const std::string& answer :
       {kStands, std::string("HTTP/1.0 200 OK\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n"),
        std::string("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")}) {
    const std::size_t piece = GENERATE(1, 3, 1000);
    INFO(answer);
    Tunnel tunnel;
    tunnel.near->deliver_at_most(piece);
    tunnel.proxy->write(answer);
    REQUIRE(run_until(tunnel.loop, [&] { return tunnel.opened.has_value(); }));
    REQUIRE(tunnel.opened->has_value());
    const std::unique_ptr<net::Stream> stream = std::move(**tunnel.opened);
    RecordingObserver observer;
    stream->start(observer);
    tunnel.heard.received.clear();
    stream->write("there");
    tunnel.proxy->write("back");
    REQUIRE(run_until(tunnel.loop, [&] { return observer.received == "back" && tunnel.heard.received == "there"; }));
    stream->finish_writing();
    tunnel.proxy->finish_writing();
    REQUIRE(run_until(tunnel.loop, [&] { return observer.ends == 1 && tunnel.heard.ends == 1; }));
    CHECK(observer.failures.empty());
  }
}

TEST_CASE("each refusal names proxy, target, status and remedy", "[forward][proxy]") {
  const struct {
    const char* answer;
    Errc code;
    const char* part;
  } rows[] = {
      {"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"p\"\r\n\r\n", Errc::refused, "give it a user and password"},
      {"HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n", Errc::refused,
       "does not offer Basic"},
      {"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM, basic realm=p\r\n\r\n", Errc::refused,
       "give it a user and password"},
      {"HTTP/1.1 403 x\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", Errc::refused,
       "the proxy's rules must allow CONNECT to this host and port"},
      {"HTTP/1.1 302 x\r\nLocation: http://login/\r\n\r\n", Errc::refused, "the proxy's rules must allow"},
      {"HTTP/1.1 405 x\r\n\r\n", Errc::refused, "an HTTP proxy that knows CONNECT"},
      {"HTTP/1.0 501 x\r\nContent-Type: text/html\r\n\r\n<html>", Errc::refused, "an HTTP proxy that knows CONNECT"},
      {"HTTP/1.1 502 x\r\n\r\n", Errc::unreachable, "it does not reach that host"},
      {"HTTP/1.1 503 x\r\n\r\n", Errc::unreachable, "it does not reach that host"},
      {"HTTP/1.1 504 x\r\n\r\n", Errc::unreachable, "it does not reach that host"},
      {"HTTP/1.1 429 x\r\n\r\n", Errc::unreachable, "overloaded"},
      {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", Errc::refused,
       "with a page instead of a tunnel"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<html>", Errc::refused, "a page instead of a tunnel"},
      {"<html><body>hello</body></html>\r\n", Errc::refused, "is not HTTP"},
      {"\x05\xff", Errc::refused, "is not HTTP (it does not begin as HTTP/1.1)"},
      {"HTTP/1.1 200 OK\nX: y\n\n", Errc::refused, "is not HTTP ("},
      {"HTTP/1.1 401 x\r\nContent-Type: text/html\r\n\r\n", Errc::refused, "give it a user and password"},
      {"SSH-2.0-OpenSSH_9.2p1\r\n", Errc::refused, "is not HTTP"},
  };
  for (const auto& row : rows) {
    INFO(row.answer);
    Tunnel tunnel;
    tunnel.answer(row.answer);
    const Error error = tunnel.failure();
    CHECK(error.code == row.code);
    contains(error, row.part);
    contains(error, "proxy:3128");
    contains(error, "cloud.test:443");
  }
}

TEST_CASE("a proxy that dies after any byte of its answer is told as such", "[forward][proxy]") {
  for (std::size_t bytes = 0; bytes < kStands.size(); ++bytes) {
    Tunnel tunnel;
    if (bytes > 0) tunnel.proxy->write(kStands.substr(0, bytes));
    tunnel.settle();
    CHECK_FALSE(tunnel.opened.has_value());
    if (bytes % 2 == 0) {
      tunnel.proxy.reset();
    } else {
      tunnel.near->fail({Errc::closed, "read: connection reset by peer"});
    }
    tunnel.settle();
    CHECK(tunnel.failure().code == Errc::closed);
    contains(tunnel.failure(), bytes == 0 ? "before it answered CONNECT cloud.test:443"
                                          : "in the middle of its answer to CONNECT cloud.test:443");
  }
}

TEST_CASE("an answer without end is refused", "[forward][proxy]") {
  Tunnel tunnel;
  std::string endless = "HTTP/1.1 200 OK\r\n";
  for (int n = 0; n < 2000; ++n) endless += "X-Filler: 0123456789\r\n";
  tunnel.answer(endless);
  CHECK(tunnel.failure().code == Errc::refused);
}

TEST_CASE("bytes and ends between the tunnel and its first user are the user's failure", "[forward][proxy]") {
  Tunnel tunnel;
  tunnel.answer(kStands);
  REQUIRE(tunnel.opened.has_value());
  REQUIRE(tunnel.opened->has_value());
  const std::unique_ptr<net::Stream> stream = std::move(**tunnel.opened);
  tunnel.near->fail({Errc::closed, "read: connection reset by peer"});
  tunnel.settle();
  RecordingObserver observer;
  stream->start(observer);
  tunnel.settle();
  REQUIRE(observer.failures.size() == 1);
  contains(observer.failures[0], "as soon as the tunnel to cloud.test:443 stood");
}

TEST_CASE("a tunnel may be given up in every turn", "[forward][proxy]") {
  for (int turns = 0; turns < 12; ++turns) {
    Tunnel tunnel;
    tunnel.near->deliver_at_most(8);
    tunnel.proxy->write(kStands);
    run_turns(tunnel.loop, turns);
    const bool before = tunnel.opened.has_value();
    tunnel.pending.reset();
    tunnel.settle();
    CHECK(tunnel.opened.has_value() == before);
  }
}

}  // namespace twinspool::forward
