#include "net/inherited_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "support/catch.h"
#include "support/temp_dir.h"

namespace twinspool::net {
namespace {

int listening_on(const std::string& path) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  REQUIRE(::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(descriptor, 5) == 0);
  return descriptor;
}

// In a process of its own, where descriptors 3 and 4 can be what a service manager makes of them.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void set_environment(const std::string& pid, const char* count) {
  ::setenv("LISTEN_PID", pid.c_str(), 1);
  ::setenv("LISTEN_FDS", count, 1);
  ::setenv("LISTEN_FDNAMES", "one:two", 1);
}

TEST_CASE("inherited sockets are found by their path, and the environment is taken away", "[net][inherited]") {
  const TempDir dir;
  const int first = listening_on(dir.file("a.sock"));
  const int second = listening_on(dir.file("b.sock"));
  const int step = in_child([&] {
    if (::dup2(first, 103) < 0 || ::dup2(second, 4) < 0 || ::dup2(103, 3) < 0) return 1;
    set_environment(std::to_string(::getpid()), "2");
    InheritedSockets inherited = InheritedSockets::from_environment();
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
      if (std::getenv(name) != nullptr) return 2;
    if (inherited.take(dir.file("c.sock"))) return 3;
    if (inherited.take(dir.file("b.sock")) != 4) return 4;
    if (inherited.take(dir.file("b.sock"))) return 5;
    if ((::fcntl(4, F_GETFD) & FD_CLOEXEC) == 0) return 6;
    if (inherited.left() != std::vector<std::string>{dir.file("a.sock")}) return 7;
    { const InheritedSockets moved = std::move(inherited); }
    return ::fcntl(3, F_GETFD) == -1 ? 0 : 8;  // what nobody took was closed
  });
  CHECK(step == 0);
  ::close(first);
  ::close(second);
}

TEST_CASE("variables for another process, or without sense, are none", "[net][inherited]") {
  const std::string me = std::to_string(::getpid());
  for (const auto& [pid, count] : {std::pair{std::string("1"), "1"}, std::pair{me, "-1"}, std::pair{me, "x"},
                                   std::pair{me, "99999"}, std::pair{me + "x", "1"}, std::pair{me, ""}}) {
    set_environment(pid, count);
    CHECK(InheritedSockets::from_environment().left().empty());
    CHECK(std::getenv("LISTEN_FDS") == nullptr);
  }
}

}  // namespace
}  // namespace twinspool::net
