#include "forward/network_dialer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <optional>

#include "support/catch.h"
#include "support/certificates.h"
#include "support/memory_stream.h"
#include "support/run_until.h"
#include "support/temp_dir.h"
#include "tls/tls_stream.h"

namespace twinspool::forward {
namespace {

using Dialed = Result<std::unique_ptr<net::Stream>>;

net::Address address(const std::string& ip, std::uint16_t port) {
  net::Address made;
  auto* raw = reinterpret_cast<sockaddr_in*>(&made.storage);
  raw->sin_family = AF_INET;
  raw->sin_port = htons(port);
  REQUIRE(inet_pton(AF_INET, ip.c_str(), &raw->sin_addr) == 1);
  return made;
}

class Descriptor {
 public:
  Descriptor() : number(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) { REQUIRE(number >= 0); }
  Descriptor(Descriptor&& other) noexcept : number(std::exchange(other.number, -1)) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  int number;
};

// A port that is ours and where nobody listens.
class ClosedPort {
 public:
  ClosedPort() {
    const net::Address wanted = address("127.0.0.1", 0);
    REQUIRE(::bind(socket_.number, reinterpret_cast<const sockaddr*>(&wanted.storage), sizeof(sockaddr_in)) == 0);
  }
  std::uint16_t port() const {
    sockaddr_in bound{};
    socklen_t size = sizeof bound;
    REQUIRE(::getsockname(socket_.number, reinterpret_cast<sockaddr*>(&bound), &size) == 0);
    return ntohs(bound.sin_port);
  }

 protected:
  Descriptor socket_;
};

// An address that swallows what is sent to it: its backlog is full, so the kernel drops further connections' SYNs.
class BlackHole : public ClosedPort {
 public:
  explicit BlackHole(net::EventLoop& loop) {
    REQUIRE(::listen(socket_.number, 0) == 0);
    const net::Address here = address("127.0.0.1", port());
    for (int count = 0; count < 4; ++count) {
      Descriptor client;
      (void)::connect(client.number, reinterpret_cast<const sockaddr*>(&here.storage), sizeof(sockaddr_in));
      clients_.push_back(std::move(client));
    }
    run_turns(loop, 1);
  }

 private:
  std::vector<Descriptor> clients_;
};

struct World {
  TempDir dir;
  CertificateAuthority ca{dir.path().string()};
  CertificateAuthority other_ca{dir.path().string(), "other"};
  CertificateFiles cloud = ca.issue("cloud", CertificateRequest::for_hosts({"cloud.test"}));
};

World& world() {
  static World made;
  return made;
}

// A TLS server on a port of the kernel's choice that says "hello <name>" to everybody.
class TlsServer {
 public:
  TlsServer(net::EventLoop& loop, const std::string& name, const CertificateFiles& files = world().cloud)
      : context_(std::move(*tls::Context::server({.cert_file = files.cert_file, .key_file = files.key_file}))) {
    auto made = net::Listener::listen_tcp(
        loop, "127.0.0.1", 0, [this, &loop, name](std::unique_ptr<net::Stream> transport, net::PeerCredentials) {
          ++accepted;
          Peer& peer = *peers_.emplace_back(std::make_unique<Peer>());
          peer.stream = silent ? std::move(transport) : tls::accept_tls(loop, std::move(transport), context_);
          peer.stream->start(peer.observer);
          if (!silent) peer.stream->write("hello " + name);
        });
    REQUIRE(made);
    listener_ = std::move(*made);
  }
  std::uint16_t port() const { return listener_->port(); }

  bool silent = false;  // takes connections and says nothing
  std::size_t accepted = 0;

 private:
  struct Peer {
    RecordingObserver observer;
    std::unique_ptr<net::Stream> stream;
  };
  tls::Context context_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::unique_ptr<net::Listener> listener_;
};

// The loop's clock stands still: a deadline passes only where a test lets it.
struct Fixture {
  net::EventLoop loop{net::EventLoop::Clock::manual};
  ForwardConfig config;
  std::vector<net::Address> addresses;  // of any host; none: the real look-up
  std::unique_ptr<NetworkDialer> dialer;
  std::optional<Dialed> dialed;
  std::unique_ptr<net::Pending> pending;
  bool look_up_hangs = false;
  std::string looked_up;
  std::optional<DialTarget> target;  // nullopt: forward.endpoint

  Fixture() {
    config.endpoint = "https://cloud.test:8443";
    config.connect_timeout = 10s;
    config.tls.ca_file = world().ca.ca_file();
  }

  // Answers on a later turn, as the real one.
  struct FixedLookUp final : net::Pending {
    FixedLookUp(net::EventLoop& loop, std::function<void()> done) : deferred(loop, std::move(done)) { deferred.post(); }
    net::Deferred deferred;
  };

  void begin() {
    if (!dialer) {
      NetworkDialer::LookUp look_up = net::look_up;
      if (!addresses.empty() || look_up_hangs) {
        look_up = [this](net::EventLoop& on, const std::string& host, std::uint16_t port, auto done) {
          looked_up = host + ":" + std::to_string(port);
          return std::make_unique<FixedLookUp>(on, [this, done = std::move(done)] {
            if (!look_up_hangs) done(addresses);
          });
        };
      }
      auto made = target ? NetworkDialer::create(loop, *target, config, std::move(look_up))
                         : NetworkDialer::create(loop, config, std::move(look_up));
      REQUIRE(made);
      dialer = std::move(*made);
    }
    dialed.reset();
    pending = dialer->dial([this](Dialed result) {
      REQUIRE_FALSE(dialed.has_value());
      dialed = std::move(result);
      loop.retire(std::move(pending));
    });
    CHECK_FALSE(dialed.has_value());
  }
  bool run() {
    return run_until(loop, [&] { return dialed.has_value(); });
  }
  std::string greeting() {
    REQUIRE(run());
    if (!*dialed) FAIL(dialed->error().what);
    RecordingObserver observer;
    const std::unique_ptr<net::Stream> stream = std::move(**dialed);
    stream->start(observer);
    REQUIRE(run_until(loop, [&] { return observer.received.size() > 6; }));
    return observer.received;
  }
  Error failure() {
    REQUIRE(run());
    REQUIRE_FALSE(dialed->has_value());
    return dialed->error();
  }
};

void contains(const Error& error, const std::string& part) {
  INFO(error.what);
  CHECK(error.what.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE_METHOD(Fixture, "a dial ends with an encrypted stream to the host", "[forward][dialer]") {
  TlsServer server(loop, "one");
  addresses = {address("127.0.0.1", server.port())};
  begin();
  CHECK(greeting() == "hello one");
}

TEST_CASE_METHOD(Fixture, "an address that refuses is passed over at once", "[forward][dialer]") {
  const ClosedPort closed;
  TlsServer server(loop, "two");
  addresses = {address("127.0.0.1", closed.port()), address("127.0.0.1", server.port())};
  begin();
  CHECK(greeting() == "hello two");
  CHECK(dialer->progress().step == DialProgress::Step::done);
  CHECK(dialer->progress().addresses.size() == 2);
}

TEST_CASE_METHOD(Fixture, "an address from which nothing comes back does not use up the deadline",
                 "[forward][dialer]") {
  const BlackHole hole(loop);
  TlsServer server(loop, "two");
  addresses = {address("127.0.0.1", hole.port()), address("127.0.0.1", server.port())};
  begin();
  run_turns(loop, 20);
  CHECK_FALSE(dialed.has_value());
  CHECK(server.accepted == 0);
  loop.advance(kNextAddressAfter);
  CHECK(greeting() == "hello two");
}

TEST_CASE_METHOD(Fixture, "a short deadline is shared by the addresses", "[forward][dialer]") {
  config.connect_timeout = 600ms;
  const BlackHole hole(loop);
  TlsServer server(loop, "two");
  addresses = {address("127.0.0.1", hole.port()), address("127.0.0.1", server.port())};
  begin();
  run_turns(loop, 20);
  loop.advance(200ms);
  CHECK(greeting() == "hello two");
}

TEST_CASE_METHOD(Fixture, "after a dial that only found silence the next one begins elsewhere", "[forward][dialer]") {
  const BlackHole first(loop);
  TlsServer server(loop, "two");
  addresses = {address("127.0.0.1", first.port())};
  begin();
  run_turns(loop, 20);
  loop.advance(10s);
  CHECK(failure().code == Errc::timeout);
  addresses.push_back(address("127.0.0.1", server.port()));
  begin();
  CHECK(greeting() == "hello two");  // without a wait
}

TEST_CASE_METHOD(Fixture, "addresses that all swallow end at the deadline, and are named", "[forward][dialer]") {
  const BlackHole first(loop);
  const BlackHole second(loop);
  addresses = {address("127.0.0.1", first.port()), address("127.0.0.1", second.port())};
  begin();
  run_turns(loop, 20);
  loop.advance(9s);
  run_turns(loop, 20);
  CHECK_FALSE(dialed.has_value());
  loop.advance(1s);
  const Error error = failure();
  CHECK(error.code == Errc::timeout);
  contains(error, "connecting to cloud.test (127.0.0.1:" + std::to_string(first.port()) + ", 127.0.0.1:" +
                      std::to_string(second.port()) + ") took longer than 10s; check the host and port");
}

TEST_CASE_METHOD(Fixture, "refused by every address: host, each address and the remedy are named",
                 "[forward][dialer]") {
  const ClosedPort first;
  const ClosedPort second;
  addresses = {address("127.0.0.1", first.port()), address("127.0.0.1", second.port())};
  begin();
  const Error error = failure();
  CHECK(error.code == Errc::unreachable);
  contains(error, "cannot reach cloud.test: cannot connect to 127.0.0.1:" + std::to_string(first.port()) +
                      ": connection refused; cannot connect to 127.0.0.1:" + std::to_string(second.port()) +
                      ": connection refused; check the host and port of forward.endpoint");
  CHECK(dialer->progress().step == DialProgress::Step::connect);
}

TEST_CASE_METHOD(Fixture, "an unknown host is named with what to check", "[forward][dialer]") {
  config.endpoint = "https://no-such-host.invalid";
  begin();
  const Error error = failure();
  CHECK(error.code == Errc::unreachable);
  contains(error, "cannot look up 'no-such-host.invalid': ");
  contains(error, "; check forward.endpoint and this gateway's DNS");
  CHECK(dialer->progress().step == DialProgress::Step::look_up);
}

TEST_CASE_METHOD(Fixture, "a look-up that hangs ends at the deadline", "[forward][dialer]") {
  look_up_hangs = true;
  begin();
  run_turns(loop, 5);
  loop.advance(10s);
  const Error error = failure();
  CHECK(error.code == Errc::timeout);
  CHECK(error.what == "the look-up of 'cloud.test' took longer than 10s; check this gateway's DNS");
}

TEST_CASE_METHOD(Fixture, "an authority that is not trusted is refused, and the key that would trust it is named",
                 "[forward][dialer]") {
  TlsServer server(loop, "one", world().other_ca.issue("foreign", CertificateRequest::for_hosts({"cloud.test"})));
  addresses = {address("127.0.0.1", server.port())};
  begin();
  const Error error = failure();
  CHECK(error.code == Errc::tls);
  contains(error, "TLS handshake with cloud.test failed: the certificate of cloud.test");
  contains(error, "is from an authority that is not trusted here");
  contains(error, "forward.tls.ca_file");
  CHECK(dialer->progress().step == DialProgress::Step::handshake);
}

TEST_CASE_METHOD(Fixture, "a certificate for another host is refused, unless server_name says that name",
                 "[forward][dialer]") {
  TlsServer server(loop, "one", world().ca.issue("inner", CertificateRequest::for_hosts({"inner.test"})));
  addresses = {address("127.0.0.1", server.port())};
  SECTION("refused") {
    begin();
    const Error error = failure();
    CHECK(error.code == Errc::tls);
    contains(error, "is not for the host cloud.test but for inner.test");
    contains(error, "forward.tls.server_name");
  }
  SECTION("accepted") {
    config.tls.server_name = "inner.test";
    begin();
    CHECK(greeting() == "hello one");
  }
}

TEST_CASE_METHOD(Fixture, "a handshake that hangs ends at the deadline, and the next dial begins elsewhere",
                 "[forward][dialer]") {
  TlsServer silent(loop, "one");
  silent.silent = true;
  TlsServer server(loop, "two");
  addresses = {address("127.0.0.1", silent.port()), address("127.0.0.1", server.port())};
  begin();
  REQUIRE(run_until(loop, [&] { return silent.accepted == 1; }));
  run_turns(loop, 20);
  loop.advance(10s);
  const Error error = failure();
  CHECK(error.code == Errc::timeout);
  contains(error, "the TLS handshake with cloud.test took longer than 10s; check");
  CHECK(server.accepted == 0);
  begin();
  CHECK(greeting() == "hello two");
  CHECK(silent.accepted == 1);
}

TEST_CASE_METHOD(Fixture, "a server that hangs up in the handshake is told with host and step", "[forward][dialer]") {
  std::vector<std::unique_ptr<net::Stream>> none;
  auto listener = net::Listener::listen_tcp(loop, "127.0.0.1", 0, [](auto, auto) {});
  REQUIRE(listener);
  addresses = {address("127.0.0.1", (*listener)->port())};
  begin();
  const Error error = failure();
  contains(error, "the TLS handshake with cloud.test failed: ");
  contains(error, "; check the host and port of forward.endpoint");
}

TEST_CASE_METHOD(Fixture, "a dial may be given up in every step", "[forward][dialer]") {
  TlsServer server(loop, "one");
  const BlackHole hole(loop);
  addresses = {address("127.0.0.1", hole.port()), address("127.0.0.1", server.port())};
  for (int turns = 0; turns < 16; ++turns) {
    begin();
    run_turns(loop, turns / 2);
    loop.advance(kNextAddressAfter);
    run_turns(loop, turns);
    const bool before = dialed.has_value();
    pending.reset();
    run_turns(loop, 20);
    CHECK(dialed.has_value() == before);
  }
}

TEST_CASE_METHOD(Fixture, "another host than the endpoint's is verified by its own name, and advice names its own key",
                 "[forward][dialer]") {
  config.tls.server_name = "pinned.test";  // of the endpoint alone
  target = DialTarget{.host = "cloud.test", .port = 8443, .server_name = {}, .key = "auth.authority"};
  SECTION("reached") {
    TlsServer server(loop, "one");
    addresses = {address("127.0.0.1", server.port())};
    begin();
    CHECK(greeting() == "hello one");
  }
  SECTION("not reached") {
    const ClosedPort closed;
    addresses = {address("127.0.0.1", closed.port())};
    begin();
    contains(failure(), "; check the host and port of auth.authority, and the firewalls on the way");
  }
}

TEST_CASE_METHOD(Fixture, "a plain target is connected without a handshake", "[forward][dialer]") {
  RecordingObserver peer;
  std::unique_ptr<net::Stream> accepted;
  const auto listener =
      net::Listener::listen_tcp(loop, "127.0.0.1", 0, [&](std::unique_ptr<net::Stream> stream, net::PeerCredentials) {
        accepted = std::move(stream);
        accepted->start(peer);
      });
  REQUIRE(listener);
  config.tls.ca_file = "/nowhere/ca.pem";  // not looked at
  target = DialTarget{.host = "127.0.0.1",
                      .port = (*listener)->port(),
                      .transport = DialTarget::Transport::plain,
                      .server_name = {},
                      .key = "IDENTITY_ENDPOINT"};
  begin();
  REQUIRE(run());
  REQUIRE(dialed->has_value());
  RecordingObserver observer;
  (**dialed)->start(observer);
  (**dialed)->write("GET / HTTP/1.1\r\n");
  REQUIRE(run_until(loop, [&] { return peer.received == "GET / HTTP/1.1\r\n"; }));
}

// --- through a proxy ---

namespace {

// A CONNECT proxy on a port of the kernel's choice, that leads every CONNECT to one server.
class Proxy {
 public:
  Proxy(net::EventLoop& loop, std::uint16_t server_port) : loop_(loop), server_(address("127.0.0.1", server_port)) {
    auto made = net::Listener::listen_tcp(loop, "127.0.0.1", 0, [this](auto stream, auto) {
      Side& client = *clients_.emplace_back(std::make_unique<Side>());
      client.proxy = this;
      client.stream = std::move(stream);
      client.stream->start(client);
    });
    REQUIRE(made);
    listener_ = std::move(*made);
  }
  std::uint16_t port() const { return listener_->port(); }

  std::string answer = "HTTP/1.1 200 Connection established\r\n\r\n";  // empty: says nothing
  std::string asked;                                                   // the head of the newest CONNECT

 private:
  struct Side final : net::Stream::Observer {
    void on_bytes(std::string_view bytes) override {
      if (other) return other->stream->write(std::string(bytes));
      head += bytes;
      if (head.ends_with("\r\n\r\n")) proxy->connect(*this);
    }
    void on_end() override {}
    void on_drained() override {}
    void on_failed(const Error&) override {}
    Proxy* proxy = nullptr;
    std::string head;
    std::unique_ptr<net::Stream> stream;
    Side* other = nullptr;
    std::unique_ptr<Side> server;
    std::unique_ptr<net::Pending> connecting;
  };

  void connect(Side& client) {
    asked = client.head;
    if (!answer.starts_with("HTTP/1.1 200")) {
      if (!answer.empty()) client.stream->write(answer);
      return;
    }
    client.connecting = net::connect_tcp(loop_, server_, [this, &client](auto connected) {
      REQUIRE(connected);
      loop_.retire(std::move(client.connecting));
      client.server = std::make_unique<Side>();
      client.server->stream = std::move(*connected);
      client.server->other = &client;
      client.server->stream->start(*client.server);
      client.other = client.server.get();
      client.stream->write(answer);
    });
  }

  net::EventLoop& loop_;
  const net::Address server_;
  std::vector<std::unique_ptr<Side>> clients_;
  std::unique_ptr<net::Listener> listener_;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "through a proxy the host's name goes to the proxy and TLS ends at the host",
                 "[forward][dialer][proxy]") {
  TlsServer server(loop, "one");
  Proxy proxy(loop, server.port());
  addresses = {address("127.0.0.1", proxy.port())};
  config.proxy = "http://gateway:hunter2@proxy.test:" + std::to_string(proxy.port());
  begin();
  CHECK(greeting() == "hello one");
  CHECK(proxy.asked.starts_with("CONNECT cloud.test:8443 HTTP/1.1\r\nHost: cloud.test:8443\r\n"));
  CHECK(looked_up == "proxy.test:" + std::to_string(proxy.port()));
}

TEST_CASE_METHOD(Fixture, "a host of no_proxy is reached without the proxy", "[forward][dialer][proxy]") {
  TlsServer server(loop, "one");
  addresses = {address("127.0.0.1", server.port())};
  config.proxy = "http://proxy.test:3128";
  config.no_proxy = {".test"};
  begin();
  CHECK(greeting() == "hello one");
  CHECK(looked_up == "cloud.test:8443");
}

TEST_CASE_METHOD(Fixture, "what goes wrong on the way names the proxy and the step", "[forward][dialer][proxy]") {
  TlsServer server(loop, "one", world().ca.issue("inner", CertificateRequest::for_hosts({"inner.test"})));
  Proxy proxy(loop, server.port());
  const std::string port = std::to_string(proxy.port());
  addresses = {address("127.0.0.1", proxy.port())};
  config.proxy = "http://gateway:hunter2@proxy.test:" + port;
  SECTION("the proxy refuses") {
    proxy.answer = "HTTP/1.1 403 Forbidden\r\n\r\n";
    begin();
    const Error error = failure();
    CHECK(error.code == Errc::refused);
    contains(error, "the proxy proxy.test:" + port + " refused CONNECT cloud.test:8443: HTTP 403 Forbidden");
    CHECK(dialer->progress().step == DialProgress::Step::tunnel);
  }
  SECTION("the proxy hangs") {
    proxy.answer = "";
    begin();
    REQUIRE(run_until(loop, [&] { return !proxy.asked.empty(); }));
    run_turns(loop, 20);
    loop.advance(10s);
    const Error error = failure();
    CHECK(error.code == Errc::timeout);
    contains(error, "the answer of the proxy proxy.test:" + port + " to CONNECT cloud.test:8443 took longer than 10s");
  }
  SECTION("the certificate behind it is wrong") {
    begin();
    const Error error = failure();
    CHECK(error.code == Errc::tls);
    contains(error, "is not for the host cloud.test but for inner.test");
    contains(error, "(through the proxy proxy.test:" + port + ")");
  }
  SECTION("nobody listens there") {
    const ClosedPort closed;
    addresses = {address("127.0.0.1", closed.port())};
    begin();
    const Error error = failure();
    CHECK(error.code == Errc::unreachable);
    contains(error, "cannot reach the proxy proxy.test:" + port);
    contains(error, "check the host and port of forward.proxy, and the firewalls on the way");
  }
  SECTION("its name is unknown") {
    addresses.clear();
    config.proxy = "http://no-such-proxy.invalid:3128";
    begin();
    const Error error = failure();
    contains(error, "cannot look up 'no-such-proxy.invalid'");
    contains(error, "; check forward.proxy and this gateway's DNS");
  }
  CHECK(dialed->error().what.find("hunter2") == std::string::npos);
}

TEST_CASE("a dialer is refused with the key that is wrong", "[forward][dialer]") {
  net::EventLoop loop;
  ForwardConfig config;
  config.endpoint = "http://cloud.test";
  CHECK(NetworkDialer::create(loop, config).error().what.find("https://") != std::string::npos);
  config.endpoint = "https://cloud.test";
  config.tls.min_version = "1.1";
  CHECK(NetworkDialer::create(loop, config).error().what.find("tls.min_version '1.1'") != std::string::npos);
  config.tls.min_version = "1.3";
  config.tls.ca_file = "/nowhere/ca.pem";
  CHECK(NetworkDialer::create(loop, config).error().what.find("/nowhere/ca.pem") != std::string::npos);
}

}  // namespace twinspool::forward
