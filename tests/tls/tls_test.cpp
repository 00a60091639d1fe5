#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "support/catch.h"
#include "support/certificates.h"
#include "support/memory_stream.h"
#include "support/run_until.h"
#include "support/temp_dir.h"
#include "tls/engine.h"
#include "tls/tls_stream.h"

namespace twinspool::tls {
namespace {

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t index = 0; index < size; ++index) bytes[index] = static_cast<char>(index * 31 / 7);
  return bytes;
}

// One authority and one directory for all tests: making keys is what takes the time.
struct World {
  TempDir dir;
  CertificateAuthority ca{dir.path().string()};
  CertificateAuthority other_ca{dir.path().string(), "other"};
  CertificateFiles good = ca.issue("good", CertificateRequest::for_hosts({"cloud.test", "*.wild.test", "192.0.2.1"}));
  CertificateFiles client = ca.issue("client", CertificateRequest::for_hosts({"gateway"}));
};

World& world() {
  static World made;
  return made;
}

Context make_client(ClientOptions options = {}) {
  if (options.ca_file.empty()) options.ca_file = world().ca.ca_file();
  auto context = Context::client(options);
  REQUIRE(context);
  return std::move(*context);
}

Context make_server(const CertificateFiles& files, ServerOptions options = {}) {
  options.cert_file = files.cert_file;
  options.key_file = files.key_file;
  auto context = Context::server(options);
  REQUIRE(context);
  return std::move(*context);
}

struct Side {  // one end of a TLS connection over memory
  std::unique_ptr<net::Stream> stream;
  RecordingObserver observer;
};

class Link {  // a client and a server; ended from the streams down to the loop
 public:
  Link(Context& client_context, Context& server_context, const std::string& host = "cloud.test") {
    auto [left, right] = MemoryStream::pair(loop);
    client_wire = left.get();
    server_wire = right.get();
    server.stream = accept_tls(loop, std::move(right), server_context);
    pending = connect_tls(loop, std::move(left), client_context, host,
                          [this](auto result) { connected = std::move(result); });
  }

  // Whether the client's handshake succeeded; then its stream is started.
  bool handshake() {
    server.stream->start(server.observer);
    if (!run([&] { return connected.has_value(); }) || !*connected) return false;
    client.stream = std::move(**connected);
    client.stream->start(client.observer);
    return true;
  }
  bool run(const std::function<bool()>& condition) { return run_until(loop, condition); }
  void settle() { run_turns(loop, 60); }

  net::EventLoop loop{net::EventLoop::Clock::manual};
  Side client;
  Side server;
  MemoryStream* client_wire = nullptr;
  MemoryStream* server_wire = nullptr;
  std::optional<Result<std::unique_ptr<net::Stream>>> connected;
  std::unique_ptr<net::Pending> pending;
};

std::string refusal(Context& client, Context& server, const std::string& host = "cloud.test") {
  Link link(client, server, host);
  CHECK_FALSE(link.handshake());
  REQUIRE(link.connected);
  REQUIRE_FALSE(link.connected->has_value());
  CHECK(link.connected->error().code == Errc::tls);
  // Our alert reaches the server, which so knows that nobody will send anything.
  CHECK(link.run([&] { return !link.server.observer.failures.empty(); }));
  CHECK(link.server.observer.received.empty());
  return link.connected->error().what;
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

TEST_CASE("both versions carry large data both ways and end with close_notify", "[tls]") {
  const Version version = GENERATE(Version::tls12, Version::tls13);
  Context client = make_client();
  Context server = make_server(world().good, {.max_version = version});
  Link link(client, server);
  REQUIRE(link.handshake());
  const std::string large = pattern(1'000'000);
  link.client.stream->write(large);
  CHECK(link.client.stream->unwritten() > 0);
  link.server.stream->write("small");
  link.server.stream->write(large);
  REQUIRE(link.run([&] {
    return link.server.observer.received.size() >= large.size() && link.client.observer.received.size() >= large.size();
  }));
  link.client.stream->finish_writing();
  REQUIRE(link.run([&] { return link.server.observer.ends == 1; }));
  link.server.stream->write("last words");
  link.server.stream->finish_writing();
  REQUIRE(link.run([&] { return link.client.observer.ends == 1; }));
  CHECK((link.server.observer.received == large));
  CHECK((link.client.observer.received == "small" + large + "last words"));
  CHECK(link.client.observer.drains > 0);
  CHECK(link.client.stream->unwritten() == 0);
  CHECK(link.client.observer.failures.empty());
  CHECK(link.server.observer.failures.empty());
}

TEST_CASE("bytes that come one at a time mean the same", "[tls]") {
  Context client = make_client();
  Context server = make_server(world().good);
  Link link(client, server);
  link.client_wire->deliver_at_most(1);
  link.server_wire->deliver_at_most(1);
  REQUIRE(link.handshake());
  link.client.stream->write(pattern(2000));
  link.server.stream->write(pattern(3000));
  link.client.stream->finish_writing();
  REQUIRE(link.run([&] { return link.server.observer.ends == 1 && link.client.observer.received.size() >= 3000; }));
  CHECK((link.server.observer.received == pattern(2000)));
  CHECK((link.client.observer.received == pattern(3000)));
}

TEST_CASE("the server may write before the handshake is done", "[tls]") {
  Context client = make_client();
  Context server = make_server(world().good);
  Link link(client, server);
  link.server.stream->write("early");
  CHECK(link.server.stream->unwritten() == 5);
  REQUIRE(link.handshake());
  CHECK(link.run([&] { return link.client.observer.received == "early"; }));
  CHECK(link.server.stream->unwritten() == 0);
  CHECK(link.server.observer.drains == 1);
}

TEST_CASE("an expired certificate is refused with its end and our clock", "[tls][verify]") {
  Context client = make_client();
  Context server = make_server(world().ca.issue("expired", CertificateRequest::expired({"cloud.test"})));
  const std::string text = refusal(client, server);
  contains(text, "expired at 20");
  contains(text, "the certificate of cloud.test (CN = stand-in)");
  contains(text, "this gateway's clock says 20");
}

TEST_CASE("a certificate of the future is refused and the clock is named", "[tls][verify]") {
  Context client = make_client();
  Context server = make_server(world().ca.issue("future", CertificateRequest::not_yet_valid({"cloud.test"})));
  const std::string text = refusal(client, server);
  contains(text, "is not yet valid, it begins at 20");
  contains(text, "this gateway's clock says 20");
  contains(text, "may be behind");
}

TEST_CASE("a certificate for another host is refused with both names", "[tls][verify]") {
  Context client = make_client();
  Context server = make_server(world().good);
  contains(refusal(client, server, "elsewhere.test"), "is not for the host elsewhere.test but for cloud.test");
  contains(refusal(client, server, "192.0.2.2"), "is not for the host 192.0.2.2 but for");
  contains(refusal(client, server, "wild.test"), "is not for the host wild.test");
  contains(refusal(client, server, "a.b.wild.test"), "is not for the host a.b.wild.test");
}

TEST_CASE("a common name alone is no name", "[tls][verify]") {
  Context client = make_client();
  CertificateRequest request = CertificateRequest::for_hosts({});
  request.common_name = "cloud.test";
  Context server = make_server(world().ca.issue("cn-only", request));
  contains(refusal(client, server), "is not for the host cloud.test but for no name at all");
}

TEST_CASE("an unknown authority is refused and the remedy is named", "[tls][verify]") {
  Context client = make_client();
  Context server = make_server(world().other_ca.issue("foreign", CertificateRequest::for_hosts({"cloud.test"})));
  const std::string text = refusal(client, server);
  contains(text, "is from an authority that is not trusted here (CN = Test authority other");
  contains(text, "forward.tls.ca_file");
}

TEST_CASE("names, wildcards of one label and addresses are accepted", "[tls][verify]") {
  const std::string host = GENERATE("cloud.test", "CLOUD.test", "cloud.test.", "a.wild.test", "192.0.2.1");
  Context client = make_client();
  Context server = make_server(world().good);
  Link link(client, server, host);
  INFO(host);
  CHECK(link.handshake());
}

TEST_CASE("a server below the minimum version is refused", "[tls]") {
  Context client = make_client({.min_version = Version::tls13});
  Context old_server = make_server(world().good, {.max_version = Version::tls12});
  contains(refusal(client, old_server), "TLS handshake with cloud.test failed: ");
  Context server = make_server(world().good);
  Link link(client, server);
  CHECK(link.handshake());
}

TEST_CASE("a server that wants a client certificate gets one or refuses", "[tls]") {
  Context server = make_server(world().good, {.client_ca_file = world().ca.ca_file()});
  {
    Context client = make_client({.cert_file = world().client.cert_file, .key_file = world().client.key_file});
    Link link(client, server);
    REQUIRE(link.handshake());
    link.client.stream->write("hello");
    CHECK(link.run([&] { return link.server.observer.received == "hello"; }));
  }
  Context client = make_client();
  Link link(client, server);
  link.handshake();  // with TLS 1.3 the client is done before the server has looked
  REQUIRE(link.run([&] { return !link.client.observer.failures.empty() && !link.server.observer.failures.empty(); }));
  CHECK(link.client.observer.failures[0].code == Errc::tls);
  contains(link.client.observer.failures[0].what, "alert");
  CHECK(link.server.observer.received.empty());
}

// The engines of two contexts, run against each other until neither has more to say.
void pump(Engine& client, Engine& server) {
  std::string ignored;
  for (int flight = 0; flight < 10; ++flight) {
    REQUIRE(server.receive(client.take_ciphertext(), ignored));
    REQUIRE(client.receive(server.take_ciphertext(), ignored));
  }
  REQUIRE(client.handshake_done());
  REQUIRE(server.handshake_done());
}

bool resumed(Context& client_context, Context& server_context, const std::string& host) {
  Engine client = Engine::client(client_context, host);
  Engine server = Engine::server(server_context);
  REQUIRE(client.start());
  pump(client, server);
  CHECK(client.session_reused() == server.session_reused());
  return client.session_reused();
}

TEST_CASE("a second connection to the same host resumes, also after a cut", "[tls][resumption]") {
  const Version version = GENERATE(Version::tls12, Version::tls13);
  Context client = make_client();
  Context server = make_server(world().good, {.max_version = version});
  CHECK_FALSE(resumed(client, server, "cloud.test"));
  CHECK(resumed(client, server, "cloud.test"));
  CHECK(resumed(client, server, "cloud.test"));
  CHECK_FALSE(resumed(client, server, "a.wild.test"));  // another host is verified by itself
  Context fresh = make_client();
  CHECK_FALSE(resumed(fresh, server, "cloud.test"));
}

TEST_CASE("an engine may outlive its context", "[tls]") {
  std::optional<Context> client(make_client());
  Context server_context = make_server(world().good);
  Engine engine = Engine::client(*client, "cloud.test");
  Engine server = Engine::server(server_context);
  client.reset();
  REQUIRE(engine.start());
  pump(engine, server);
}

TEST_CASE("a cut without close_notify is a failure, not an end", "[tls]") {
  Context client = make_client();
  Context server = make_server(world().good);
  Link link(client, server);
  REQUIRE(link.handshake());
  link.server.stream->write("half an answ");
  REQUIRE(link.run([&] { return link.client.observer.received == "half an answ"; }));
  link.server.stream.reset();
  REQUIRE(link.run([&] { return !link.client.observer.failures.empty(); }));
  CHECK(link.client.observer.failures[0].code == Errc::closed);
  CHECK(link.client.observer.failures[0].what == "the connection was cut without a TLS close_notify");
  CHECK(link.client.observer.ends == 0);
}

TEST_CASE("a failure of the transport is the stream's", "[tls]") {
  Context client = make_client();
  Context server = make_server(world().good);
  Link link(client, server);
  REQUIRE(link.handshake());
  link.client_wire->fail({Errc::timeout, "read: connection timed out"});
  REQUIRE(link.run([&] { return !link.client.observer.failures.empty(); }));
  CHECK(link.client.observer.failures[0].code == Errc::timeout);
  link.client.stream->write("nobody");
  link.settle();
  CHECK(link.client.observer.failures.size() == 1);
}

TEST_CASE("a changed byte in a record is a failure and nothing of the record is delivered", "[tls]") {
  Context client_context = make_client();
  Context server_context = make_server(world().good);
  Engine client = Engine::client(client_context, "cloud.test");
  Engine server = Engine::server(server_context);
  REQUIRE(client.start());
  pump(client, server);
  REQUIRE(server.send("delivered: yes"));
  std::string record = server.take_ciphertext();
  record[record.size() / 2] = static_cast<char>(record[record.size() / 2] ^ 1);
  std::string plaintext;
  const Result<void> result = client.receive(record, plaintext);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::tls);
  CHECK(plaintext.empty());
  CHECK_FALSE(client.take_ciphertext().empty());  // the alert
  CHECK_FALSE(client.send("more"));
}

TEST_CASE("garbage instead of a handshake fails on both sides", "[tls]") {
  net::EventLoop loop(net::EventLoop::Clock::manual);
  Context client = make_client();
  Context server = make_server(world().good);
  RecordingObserver raw;
  {
    auto [left, right] = MemoryStream::pair(loop);
    std::optional<Result<std::unique_ptr<net::Stream>>> connected;
    const auto pending =
        connect_tls(loop, std::move(left), client, "cloud.test", [&](auto result) { connected = std::move(result); });
    right->start(raw);
    right->write("HTTP/1.1 400 Bad Request\r\n\r\n");
    REQUIRE(run_until(loop, [&] { return connected.has_value(); }));
    REQUIRE_FALSE(connected->has_value());
    CHECK(connected->error().code == Errc::tls);
    contains(connected->error().what, "TLS handshake with cloud.test failed: wrong version number");
  }
  auto [left, right] = MemoryStream::pair(loop);
  RecordingObserver observer;
  RecordingObserver other;
  const auto stream = accept_tls(loop, std::move(right), server);
  stream->start(observer);
  left->start(other);
  left->write("GET / HTTP/1.1\r\n\r\n");
  REQUIRE(run_until(loop, [&] { return !observer.failures.empty(); }));
  CHECK(observer.failures[0].code == Errc::tls);
}

TEST_CASE("a handshake cut after any number of bytes fails once and cleanly", "[tls]") {
  Context client = make_client();
  Context server = make_server(world().good);
  std::size_t flight = 1;  // what the server says at once, known after the first round
  std::size_t cuts = 0;
  for (std::size_t bytes = 1; bytes <= flight; bytes += 97, ++cuts) {
    Link link(client, server);
    link.client_wire->split({bytes});
    link.server.stream->start(link.server.observer);
    REQUIRE(link.run([&] { return link.client_wire->waiting() > 0; }));
    flight = link.client_wire->waiting();
    if (bytes > flight) break;  // it differs by the length of a signature
    REQUIRE(link.run([&] { return link.client_wire->waiting() < flight; }));
    link.client_wire->hold();
    link.client_wire->fail({Errc::closed, "read: connection reset by peer"});
    REQUIRE(link.run([&] { return link.connected.has_value(); }));
    CHECK_FALSE(link.connected->has_value());
  }
  CHECK(cuts > 5);
}

TEST_CASE("the peer's end during the handshake is told as such", "[tls]") {
  net::EventLoop loop(net::EventLoop::Clock::manual);
  Context client = make_client();
  auto [left, right] = MemoryStream::pair(loop);
  std::optional<Result<std::unique_ptr<net::Stream>>> connected;
  const auto pending =
      connect_tls(loop, std::move(left), client, "cloud.test", [&](auto result) { connected = std::move(result); });
  CHECK_FALSE(connected);
  right.reset();
  REQUIRE(run_until(loop, [&] { return connected.has_value(); }));
  REQUIRE_FALSE(connected->has_value());
  CHECK(connected->error().code == Errc::closed);
  CHECK(connected->error().what == "the connection was closed during the TLS handshake");
}

TEST_CASE("a handshake may be given up at any turn", "[tls]") {
  Context client = make_client();
  Context server = make_server(world().good);
  for (int turns = 0; turns < 12; ++turns) {
    Link link(client, server);
    link.server.stream->start(link.server.observer);
    run_turns(link.loop, turns);
    link.pending.reset();
    const bool before = link.connected.has_value();
    link.settle();
    CHECK(link.connected.has_value() == before);
  }
}

TEST_CASE("back-pressure passes through to the wire", "[tls]") {
  Context client = make_client();
  Context server = make_server(world().good);
  Link link(client, server);
  REQUIRE(link.handshake());
  link.settle();
  link.server.stream->pause_reading();
  link.client.stream->write(pattern(1'000'000));
  link.settle();
  CHECK(link.server.observer.received.empty());
  CHECK(link.client.stream->unwritten() > 800'000);
  link.server.stream->resume_reading();
  CHECK(link.run([&] { return link.server.observer.received.size() == 1'000'000; }));
  CHECK(link.run([&] { return link.client.observer.drains == 1; }));
}

TEST_CASE("what arrives before the stream is started is delivered then", "[tls]") {
  Context client = make_client();
  Context server = make_server(world().good);
  Link link(client, server);
  link.server.stream->write("greeting");
  link.server.stream->finish_writing();
  link.server.stream->start(link.server.observer);
  REQUIRE(link.run([&] { return link.connected.has_value(); }));
  REQUIRE(link.connected->has_value());
  link.settle();
  link.client.stream = std::move(**link.connected);
  link.client.stream->start(link.client.observer);
  CHECK(link.client.observer.received.empty());
  REQUIRE(link.run([&] { return link.client.observer.ends == 1; }));
  CHECK(link.client.observer.received == "greeting");
}

TEST_CASE("unusable files are refused with file and reason", "[tls][context]") {
  World& files = world();
  const auto missing = Context::client({.ca_file = files.dir.file("none.pem")});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::invalid);
  CHECK(missing.error().what ==
        "cannot read the CA file " + files.dir.file("none.pem") + ": No such file or directory");

  const auto garbage = Context::client({.ca_file = files.dir.write("garbage.pem", "not a certificate")});
  REQUIRE_FALSE(garbage);
  contains(garbage.error().what, "the CA file " + files.dir.file("garbage.pem") + " is of no use: ");

  const auto half = Context::client({.cert_file = files.client.cert_file});
  REQUIRE_FALSE(half);
  contains(half.error().what, "both cert_file and key_file");

  const auto mixed = Context::server({.cert_file = files.good.cert_file, .key_file = files.client.key_file});
  REQUIRE_FALSE(mixed);
  contains(mixed.error().what, "the key " + files.client.key_file);

  const auto locked = Context::server({.cert_file = files.good.cert_file,
                                       .key_file = files.dir.write("locked.key",
                                                                   "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                                                   "MIIB\n-----END ENCRYPTED PRIVATE KEY-----\n")});
  CHECK_FALSE(locked);
  CHECK(Context::client({}));  // the system's store
}

}  // namespace
}  // namespace twinspool::tls
