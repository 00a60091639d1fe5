#include "net/socket.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "support/catch.h"
#include "support/memory_stream.h"
#include "support/run_until.h"
#include "support/temp_dir.h"

namespace twinspool::net {
namespace {

using Connected = Result<std::unique_ptr<Stream>>;

struct End {  // one end of a connection with what it was told
  std::unique_ptr<Stream> stream;
  PeerCredentials peer;
  RecordingObserver observer;
};

class Net {  // a loop with a listener that keeps what it accepts
 public:
  Listener::Accepted accept() {
    return [this](std::unique_ptr<Stream> stream, PeerCredentials peer) {
      auto end = std::make_unique<End>();
      end->stream = std::move(stream);
      end->peer = peer;
      end->stream->start(end->observer);
      accepted.push_back(std::move(end));
    };
  }

  Connected wait(const std::function<std::unique_ptr<Pending>(std::function<void(Connected)>)>& begin) {
    std::optional<Connected> result;
    const std::unique_ptr<Pending> pending = begin([&](Connected connected) { result = std::move(connected); });
    CHECK_FALSE(result.has_value());  // never before the call has returned
    REQUIRE(run_until(loop, [&] { return result.has_value(); }));
    return std::move(*result);
  }
  Connected connect_to(const std::string& path) {
    return wait([&](auto done) { return connect_unix(loop, path, done); });
  }
  Connected connect_to(std::uint16_t port) {
    return wait([&](auto done) { return connect_tcp(loop, loopback(port), done); });
  }
  Address loopback(std::uint16_t port) {
    std::optional<Result<std::vector<Address>>> found;
    const auto pending = look_up(loop, "127.0.0.1", port, [&](auto result) { found = std::move(result); });
    REQUIRE(run_until(loop, [&] { return found.has_value(); }));
    REQUIRE(found->has_value());
    REQUIRE((*found)->size() == 1);
    return (*found)->front();
  }
  bool run(const std::function<bool()>& condition) { return run_until(loop, condition); }

  EventLoop loop;
  std::vector<std::unique_ptr<End>> accepted;
};

void exchange(Net& net, Connected connected) {
  REQUIRE(connected);
  RecordingObserver client;
  (*connected)->start(client);
  REQUIRE(net.run([&] { return net.accepted.size() == 1; }));
  End& server = *net.accepted[0];

  std::string large(5'000'000, '\0');
  for (std::size_t index = 0; index < large.size(); ++index) large[index] = static_cast<char>(index * 7 / 3);
  (*connected)->write("head ");
  (*connected)->write(large);
  (*connected)->write(" tail");
  CHECK((*connected)->unwritten() > 0);
  (*connected)->finish_writing();
  REQUIRE(net.run([&] { return server.observer.ends == 1; }));
  CHECK((server.observer.received == "head " + large + " tail"));
  CHECK((*connected)->unwritten() == 0);
  CHECK(client.drains > 0);
  CHECK(client.ends == 0);

  server.stream->write(large);  // the other half is still open
  server.stream->finish_writing();
  REQUIRE(net.run([&] { return client.ends == 1; }));
  CHECK((client.received == large));
  CHECK(client.failures.empty());
  CHECK(server.observer.failures.empty());
}

TEST_CASE("a Unix connection carries everything both ways and closes by halves", "[net][socket]") {
  TempDir dir;
  Net net;
  const auto listener = Listener::listen_unix(net.loop, {.path = dir.file("a.sock")}, net.accept());
  REQUIRE(listener);
  exchange(net, net.connect_to(dir.file("a.sock")));
}

TEST_CASE("a TCP connection carries everything both ways and closes by halves", "[net][socket]") {
  Net net;
  const auto listener = Listener::listen_tcp(net.loop, "127.0.0.1", 0, net.accept());
  REQUIRE(listener);
  REQUIRE((*listener)->port() != 0);
  exchange(net, net.connect_to((*listener)->port()));
  CHECK(net.accepted[0]->peer.uid == static_cast<uid_t>(-1));  // unknown is not root
}

TEST_CASE("the peer of a Unix connection is known", "[net][socket]") {
  TempDir dir;
  Net net;
  const auto listener = Listener::listen_unix(net.loop, {.path = dir.file("a.sock")}, net.accept());
  REQUIRE(listener);
  REQUIRE(net.connect_to(dir.file("a.sock")));
  REQUIRE(net.run([&] { return net.accepted.size() == 1; }));
  CHECK(net.accepted[0]->peer.pid == ::getpid());
  CHECK(net.accepted[0]->peer.uid == ::getuid());
  CHECK(net.accepted[0]->peer.gid == ::getgid());
}

TEST_CASE("nothing is read while reading is paused", "[net][socket]") {
  TempDir dir;
  Net net;
  const auto listener = Listener::listen_unix(net.loop, {.path = dir.file("a.sock")}, net.accept());
  const Connected connected = net.connect_to(dir.file("a.sock"));
  REQUIRE(net.run([&] { return net.accepted.size() == 1; }));
  End& server = *net.accepted[0];
  server.stream->pause_reading();
  RecordingObserver client;
  (*connected)->start(client);
  (*connected)->write(std::string(5'000'000, 'x'));
  run_turns(net.loop, 100);
  CHECK(server.observer.received.empty());
  CHECK((*connected)->unwritten() > 4'000'000);  // the sender feels it
  server.stream->resume_reading();
  CHECK(net.run([&] { return server.observer.received.size() == 5'000'000; }));
}

TEST_CASE("writing to a peer that is gone fails once and on a later turn", "[net][socket]") {
  TempDir dir;
  Net net;
  const auto listener = Listener::listen_unix(net.loop, {.path = dir.file("a.sock")}, net.accept());
  const Connected connected = net.connect_to(dir.file("a.sock"));
  REQUIRE(net.run([&] { return net.accepted.size() == 1; }));
  RecordingObserver client;
  (*connected)->start(client);
  net.accepted.clear();
  REQUIRE(net.run([&] { return client.ends == 1; }));
  (*connected)->write("into the void");
  CHECK(client.failures.empty());
  REQUIRE(net.run([&] { return !client.failures.empty(); }));
  CHECK(client.failures[0].code == Errc::closed);
  (*connected)->write("again");
  run_turns(net.loop, 10);
  CHECK(client.failures.size() == 1);
}

TEST_CASE("a stream ended with writes under way leaves nothing behind", "[net][socket]") {
  TempDir dir;
  Net net;
  const auto listener = Listener::listen_unix(net.loop, {.path = dir.file("a.sock")}, net.accept());
  Connected connected = net.connect_to(dir.file("a.sock"));
  REQUIRE(net.run([&] { return net.accepted.size() == 1; }));
  net.accepted[0]->stream->pause_reading();
  RecordingObserver client;
  (*connected)->start(client);
  (*connected)->write(std::string(3'000'000, 'x'));
  net.loop.retire(std::move(*connected));
  net.accepted[0]->stream->resume_reading();
  CHECK(net.run([&] { return net.accepted[0]->observer.ends == 1; }));
  CHECK(client.drains == 0);
  CHECK(client.failures.empty());
}

TEST_CASE("a refused connection says who refused", "[net][socket]") {
  TempDir dir;
  Net net;
  std::uint16_t port = 0;
  {
    const auto listener = Listener::listen_tcp(net.loop, "127.0.0.1", 0, net.accept());
    port = (*listener)->port();
  }
  const Connected tcp = net.connect_to(port);
  REQUIRE_FALSE(tcp);
  CHECK(tcp.error().code == Errc::unreachable);
  CHECK(tcp.error().what == "cannot connect to 127.0.0.1:" + std::to_string(port) + ": connection refused");

  const Connected missing = net.connect_to(dir.file("none.sock"));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::unreachable);
  const Connected too_long = net.connect_to(dir.file(std::string(200, 'p')));
  REQUIRE_FALSE(too_long);
}

TEST_CASE("pending operations can be given up at any time", "[net][socket]") {
  Net net;
  const auto listener = Listener::listen_tcp(net.loop, "127.0.0.1", 0, net.accept());
  const Address address = net.loopback((*listener)->port());
  const auto fail_test = [](const auto&) { FAIL("called back after its end"); };
  { const auto look = look_up(net.loop, "localhost", 80, fail_test); }
  { const auto connect = connect_tcp(net.loop, address, fail_test); }
  { const auto connect = connect_unix(net.loop, "", fail_test); }
  std::unique_ptr<Pending> own;
  bool called = false;
  own = connect_tcp(net.loop, address, [&](const Connected& connected) {
    own.reset();  // inside its own callback
    called = connected.has_value();
  });
  CHECK(net.run([&] { return called; }));
  run_turns(net.loop, 20);
}

TEST_CASE("a stale socket file is replaced and removed at the end", "[net][listener]") {
  TempDir dir;
  const std::string path = dir.file("a.sock");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  const int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(::bind(stale, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(stale);
  Net net;
  {
    const auto listener = Listener::listen_unix(net.loop, {.path = path}, net.accept());
    REQUIRE(listener);
    CHECK(net.connect_to(path));
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a socket on which somebody listens is left alone", "[net][listener]") {
  TempDir dir;
  Net net;
  const auto first = Listener::listen_unix(net.loop, {.path = dir.file("a.sock")}, net.accept());
  REQUIRE(first);
  const auto second = Listener::listen_unix(net.loop, {.path = dir.file("a.sock")}, net.accept());
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::busy);
  CHECK(net.connect_to(dir.file("a.sock")));
}

TEST_CASE("what is not a socket is never touched", "[net][listener]") {
  TempDir dir;
  Net net;
  const std::string file = dir.write("precious", "data");
  std::filesystem::create_symlink(file, dir.file("link"));
  for (const std::string& path : {file, dir.file("link")}) {
    const auto listener = Listener::listen_unix(net.loop, {.path = path}, net.accept());
    REQUIRE_FALSE(listener);
    CHECK(listener.error().what == path + " exists and is not a socket: remove it or choose another path");
  }
  CHECK(dir.read("precious") == "data");
  CHECK(std::filesystem::is_symlink(dir.file("link")));
}

TEST_CASE("a listener removes only its own file", "[net][listener]") {
  TempDir dir;
  Net net;
  const std::string path = dir.file("a.sock");
  auto old_one = Listener::listen_unix(net.loop, {.path = path}, net.accept());
  REQUIRE(old_one);
  std::filesystem::rename(path, dir.file("moved"));
  const auto new_one = Listener::listen_unix(net.loop, {.path = path}, net.accept());
  REQUIRE(new_one);
  old_one->reset();
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("a socket file gets its mode whatever the umask", "[net][listener]") {
  TempDir dir;
  Net net;
  const mode_t before = ::umask(0077);
  const auto listener = Listener::listen_unix(net.loop, {.path = dir.file("a.sock"), .mode = 0666}, net.accept());
  ::umask(before);
  REQUIRE(listener);
  struct stat status {};
  REQUIRE(::stat(dir.file("a.sock").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0666);
}

TEST_CASE("bad listener options are refused with what is wrong and leave no file", "[net][listener]") {
  TempDir dir;
  Net net;
  const auto group =
      Listener::listen_unix(net.loop, {.path = dir.file("a.sock"), .group = "no-such-group"}, net.accept());
  REQUIRE_FALSE(group);
  CHECK(group.error().what.find("there is no group 'no-such-group'") == 0);
  CHECK_FALSE(std::filesystem::exists(dir.file("a.sock")));

  const std::string too_long = "/tmp/" + std::string(103, 'x');
  const auto path = Listener::listen_unix(net.loop, {.path = too_long}, net.accept());
  REQUIRE_FALSE(path);
  CHECK(path.error().what == "the socket path " + too_long + " is 108 bytes, limit is 107");

  const auto ip = Listener::listen_tcp(net.loop, "localhost", 0, net.accept());
  REQUIRE_FALSE(ip);
  CHECK(ip.error().what == "'localhost' is not an IP address");

  const auto taken = Listener::listen_tcp(net.loop, "127.0.0.1", 0, net.accept());
  const auto again = Listener::listen_tcp(net.loop, "127.0.0.1", (*taken)->port(), net.accept());
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Errc::busy);
}

TEST_CASE("while a listener is paused its clients wait", "[net][listener]") {
  TempDir dir;
  Net net;
  const auto listener = Listener::listen_unix(net.loop, {.path = dir.file("a.sock")}, net.accept());
  (*listener)->pause();
  Connected waiting = net.connect_to(dir.file("a.sock"));  // the kernel's backlog takes it
  REQUIRE(waiting);
  RecordingObserver client;
  (*waiting)->start(client);
  (*waiting)->write("hello");
  run_turns(net.loop, 50);
  CHECK(net.accepted.empty());
  CHECK(client.ends == 0);
  (*listener)->resume();
  REQUIRE(net.run([&] { return net.accepted.size() == 1; }));
  CHECK(net.run([&] { return net.accepted[0]->observer.received == "hello"; }));
}

// UBSan looks into memory through a pipe of its own: without descriptors it takes every object for a broken one.
#if defined(__SANITIZE_ADDRESS__)
#define TWINSPOOL_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TWINSPOOL_SANITIZED
#endif
#endif
#ifndef TWINSPOOL_SANITIZED
TEST_CASE("out of descriptors, clients wait and are not dropped", "[net][listener]") {
  TempDir dir;
  Net net;
  const auto listener = Listener::listen_unix(net.loop, {.path = dir.file("a.sock")}, net.accept());
  (*listener)->pause();
  Connected waiting = net.connect_to(dir.file("a.sock"));
  RecordingObserver client;
  (*waiting)->start(client);

  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  const rlimit none{.rlim_cur = static_cast<rlim_t>(lowest_free), .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  (*listener)->resume();
  run_turns(net.loop, 20);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(net.accepted.empty());
  CHECK(client.ends == 0);
  CHECK(net.run([&] { return net.accepted.size() == 1; }));
}
#endif

TEST_CASE("a descriptor that listens already is taken over and its file stays", "[net][listener]") {
  TempDir dir;
  Net net;
  const std::string path = dir.file("a.sock");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);

  const auto not_listening = Listener::adopt_fd(net.loop, descriptor, net.accept());
  REQUIRE_FALSE(not_listening);
  CHECK(not_listening.error().code == Errc::invalid);
  REQUIRE(::listen(descriptor, 8) == 0);
  {
    const auto listener = Listener::adopt_fd(net.loop, descriptor, net.accept());
    REQUIRE(listener);
    REQUIRE(net.connect_to(path));
    REQUIRE(net.run([&] { return net.accepted.size() == 1; }));
    CHECK(net.accepted[0]->peer.uid == ::getuid());
  }
  CHECK(std::filesystem::exists(path));
  CHECK_FALSE(Listener::adopt_fd(net.loop, -1, net.accept()));
}

}  // namespace
}  // namespace twinspool::net
