// TCP and Unix sockets: connecting, listening, name look-up. Loop thread.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/event_loop.h"
#include "net/inherited_sockets.h"
#include "net/stream.h"
#include "util/time.h"

namespace twinspool::net {

struct Address {  // an IPv4 or IPv6 address with a port, as getaddrinfo gave it
  sockaddr_storage storage{};
  std::string text() const;  // 192.0.2.1:443, [2001:db8::1]:443
};

// An operation under way; destroying it cancels it, and its callback then never runs. The callback may destroy it.
class Pending {
 public:
  virtual ~Pending() = default;
};

// Looks `host` up: all addresses, in the resolver's order, none twice. An address as text needs no resolver.
//
// getaddrinfo cannot be cancelled and takes as long as the resolver lets it, so each look-up has a thread of its own,
// which nobody waits for: neither other look-ups, nor the end of the loop or of the process. Who asks the same within
// kLookUpShared gets the answer of the look-up under way. Errc::unreachable: no address; Errc::full: kLookUpsMax of
// the process are under way.
constexpr std::size_t kLookUpsMax = 16;
constexpr Duration kLookUpShared = std::chrono::seconds(10);
std::unique_ptr<Pending> look_up(EventLoop& loop, const std::string& host, std::uint16_t port,
                                 std::function<void(Result<std::vector<Address>>)> done);

// One connection attempt, no deadline of its own. TCP_NODELAY, keep-alive and TCP_USER_TIMEOUT are set, so that a
// peer that vanished without a word is noticed within 30 s.
std::unique_ptr<Pending> connect_tcp(EventLoop& loop, const Address& address,
                                     std::function<void(Result<std::unique_ptr<Stream>>)> done);
std::unique_ptr<Pending> connect_unix(EventLoop& loop, const std::string& path,
                                      std::function<void(Result<std::unique_ptr<Stream>>)> done);

struct PeerCredentials {  // SO_PEERCRED; as it stands here where nobody knows (TCP), so that it is never taken for root
  pid_t pid = 0;
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
  std::vector<gid_t> groups;   // supplementary ones, SO_PEERGROUPS
  std::uint32_t listener = 0;  // by which it came: a number of the server's, where that has more than one
};

struct UnixSocketOptions {
  std::string path;
  unsigned mode = 0660;
  std::string group;  // empty: leave it; a name that does not exist is an error
};

// Accepts while accepting is not paused: paused, clients wait in the kernel's backlog and are neither lost nor refused.
// So they do while the process is out of descriptors. `accepted` may pause its Listener, and ends it only by retire.
class Listener {
 public:
  using Accepted = std::function<void(std::unique_ptr<Stream> stream, PeerCredentials peer)>;

  // A stale socket file (nobody accepts on it) is replaced, a live one is Errc::busy; what is not a socket is never
  // touched. The file is removed by the destructor, unless it is no longer ours.
  static Result<std::unique_ptr<Listener>> listen_unix(EventLoop& loop, const UnixSocketOptions& options,
                                                       Accepted accepted);
  // The inherited socket of that path, whose mode and group are then those its maker gave it, or else one of our own.
  static Result<std::unique_ptr<Listener>> open_unix(EventLoop& loop, const UnixSocketOptions& options,
                                                     InheritedSockets& inherited, Accepted accepted);
  // `ip` is a literal; port 0: one that the kernel chooses.
  static Result<std::unique_ptr<Listener>> listen_tcp(EventLoop& loop, const std::string& ip, std::uint16_t port,
                                                      Accepted accepted);
  // A descriptor that listens already (systemd's). It is the Listener's, except where an error is returned; its file,
  // if any, is never removed.
  static Result<std::unique_ptr<Listener>> adopt_fd(EventLoop& loop, int descriptor, Accepted accepted);
  virtual ~Listener() = default;

  virtual void pause() = 0;
  virtual void resume() = 0;
  virtual bool has_waiting() const = 0;    // a client waits in the kernel's backlog
  virtual std::uint16_t port() const = 0;  // TCP: the one the kernel chose where 0 was asked for
};

}  // namespace twinspool::net
