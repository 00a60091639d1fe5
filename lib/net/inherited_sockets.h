// Listening sockets that the service manager has opened for us (systemd's socket activation): clients connect to them
// before the daemon is up and while it restarts, and wait in the kernel's backlog meanwhile.
//
// What is handed over is told by the variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, sd_listen_fds(3). A socket is
// known by its path, not by its name there: the configuration has paths.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace twinspool::net {

class InheritedSockets {
 public:
  InheritedSockets() = default;  // none
  // Takes the variables out of the environment. None where they are for another process or make no sense.
  static InheritedSockets from_environment();
  InheritedSockets(InheritedSockets&& other) noexcept : sockets_(std::exchange(other.sockets_, {})) {}
  ~InheritedSockets();  // closes what nobody took

  std::optional<int> take(const std::string& path);  // the descriptor, which is the caller's from now on
  std::vector<std::string> left() const;             // what nobody took: a path, or "name (no Unix socket)"

 private:
  struct Socket {
    int descriptor;
    std::string path;  // empty: no Unix socket with a path
    std::string name;
  };
  std::vector<Socket> sockets_;
};

}  // namespace twinspool::net
