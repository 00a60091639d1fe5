// The Listener of socket.h. It accepts by itself over uv_poll: libuv's own listening accepts one connection ahead of
// uv_accept, and when descriptors run out it accepts and drops clients without a word.
#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "net/socket.h"
#include "net/socket_stream.h"
#include "util/log.h"

namespace twinspool::net {
namespace {

constexpr int kBacklog = 4096;  // systemd's, too; the kernel caps it at net.core.somaxconn
constexpr std::size_t kGroupsUsual = 16;
constexpr int kAcceptedPerTurn = 8;  // others on the loop get their turn in a flood of connections
constexpr Duration kRetryAccept = std::chrono::milliseconds{100};

std::string errno_text() { return std::strerror(errno); }

class UniqueFd {
 public:
  explicit UniqueFd(int descriptor) : descriptor_(descriptor) {}
  UniqueFd(UniqueFd&& other) noexcept : descriptor_(other.release()) {}
  ~UniqueFd() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

class SocketFile {  // removes the file unless somebody has put another in its place
 public:
  SocketFile() = default;
  explicit SocketFile(std::string path) : path_(std::move(path)) {
    struct stat status {};
    if (::lstat(path_.c_str(), &status) != 0) path_.clear();
    device_ = status.st_dev;
    inode_ = status.st_ino;
  }
  SocketFile(SocketFile&& other) noexcept
      : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}
  ~SocketFile() {
    struct stat status {};
    if (path_.empty() || ::lstat(path_.c_str(), &status) != 0) return;
    if (status.st_dev == device_ && status.st_ino == inode_) ::unlink(path_.c_str());
  }

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

class SocketListener final : public Listener {
 public:
  SocketListener(EventLoop& loop, UniqueFd descriptor, int family, SocketFile file, Accepted accepted)
      : loop_(loop),
        accepted_(std::move(accepted)),
        is_unix_(family == AF_UNIX),
        file_(std::move(file)),
        descriptor_(std::move(descriptor)),
        retry_(loop.timers(), [this] { watch(); }),
        poll_(make_uv<uv_poll_t>(
            this, [&](uv_poll_t* handle) { return uv_poll_init(loop.raw(), handle, descriptor_.get()); })) {
    watch();
  }

  void pause() override {
    paused_ = true;
    retry_.cancel();
    uv_poll_stop(poll_.get());
  }

  void resume() override {
    if (!paused_) return;
    paused_ = false;
    watch();
  }

  bool has_waiting() const override {
    pollfd waiting{.fd = descriptor_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&waiting, 1, 0) > 0;
  }

  std::uint16_t port() const override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(descriptor_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
    if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
    if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
    return 0;
  }

 private:
  void watch() {
    if (paused_) return;
    uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
      if (auto* self = owner_of<SocketListener>(handle)) self->accept_waiting();
    });
  }

  void accept_waiting() {
    for (int count = 0; count < kAcceptedPerTurn && !paused_; ++count) {
      const int descriptor = ::accept4(descriptor_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0) {
        if (errno == EAGAIN) return emptied();
        if (errno != EINTR && errno != ECONNABORTED) wait_for_descriptors();
        return;
      }
      const PeerCredentials peer = credentials_of(descriptor);
      Result<SocketHandle> handle = adopt_socket(loop_, descriptor, is_unix_);
      if (!handle) {
        log::warn("net.accept_failed", {{"reason", handle.error().what}});
        continue;
      }
      accepted_(std::make_unique<SocketStream>(loop_, std::move(*handle)), peer);
    }
  }

  // Nobody waits any more: an episode of failures, if there was one, is over. While it lasts some are accepted, too.
  void emptied() {
    if (std::exchange(out_of_descriptors_, false)) log::info("net.accepting_again", {});
  }

  void wait_for_descriptors() {
    if (!std::exchange(out_of_descriptors_, true))
      log::warn("net.accept_failed", {{"reason", errno_text()}, {"now", "clients wait in the kernel's backlog"}});
    uv_poll_stop(poll_.get());
    retry_.set_after(kRetryAccept);
  }

  PeerCredentials credentials_of(int descriptor) const {
    ucred known{};
    socklen_t size = sizeof known;
    if (!is_unix_ || ::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &known, &size) != 0) return {};
    return {.pid = known.pid, .uid = known.uid, .gid = known.gid, .groups = groups_of(descriptor)};
  }

  static std::vector<gid_t> groups_of(int descriptor) {
    std::vector<gid_t> groups(kGroupsUsual);
    for (;;) {
      auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
      const int status = ::getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
      if (status != 0 && errno != ERANGE) return {};
      groups.resize(size / sizeof(gid_t));  // after ERANGE: so many there are
      if (status == 0) return groups;
    }
  }

  EventLoop& loop_;
  Accepted accepted_;
  const bool is_unix_;
  bool paused_ = false;
  bool out_of_descriptors_ = false;
  SocketFile file_;
  UniqueFd descriptor_;
  Timer retry_;
  UvPtr<uv_poll_t> poll_;  // last: closed before its descriptor
};

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t bytes_max = sizeof address.sun_path - 1;
  if (path.empty()) return fail(Errc::invalid, "the path of a socket is empty");
  if (path.size() > bytes_max) {
    return fail(Errc::invalid, "the socket path " + path + " is " + std::to_string(path.size()) + " bytes, limit is " +
                                   std::to_string(bytes_max));
  }
  path.copy(address.sun_path, path.size());
  return address;
}

// Makes way for a new socket at `path`, if what is there is a socket on which nobody accepts.
Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail(Errc::invalid, "cannot look at " + path + ": " + errno_text());
  }
  if (!S_ISSOCK(status.st_mode)) {
    return fail(Errc::invalid, path + " exists and is not a socket: remove it or choose another path");
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (probe.get() < 0) return fail(Errc::invalid, "cannot make a socket: " + errno_text());
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN) {
    return fail(Errc::busy, "somebody else listens on " + path);
  }
  if (errno == ENOENT) return {};
  if (errno != ECONNREFUSED) {
    return fail(Errc::busy, "cannot tell whether somebody listens on " + path + ": " + errno_text());
  }
  if (::unlink(path.c_str()) != 0) return fail(Errc::invalid, "cannot remove the stale " + path + ": " + errno_text());
  return {};
}

Result<void> give_to_group(const std::string& path, const std::string& group) {
  std::array<char, 16 * 1024> text{};
  ::group entry{};
  ::group* found = nullptr;
  if (::getgrnam_r(group.c_str(), &entry, text.data(), text.size(), &found) != 0 || found == nullptr) {
    return fail(Errc::invalid, "there is no group '" + group + "' for the socket " + path);
  }
  if (::lchown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0) {
    return fail(Errc::invalid, "cannot give " + path + " to the group '" + group + "': " + errno_text());
  }
  return {};
}

Result<std::unique_ptr<Listener>> begin(EventLoop& loop, UniqueFd descriptor, int family, SocketFile file,
                                        Listener::Accepted accepted) {
  return std::make_unique<SocketListener>(loop, std::move(descriptor), family, std::move(file), std::move(accepted));
}

template <class Value>
Value socket_option(int descriptor, int name, Value otherwise) {
  Value value{};
  socklen_t size = sizeof value;
  return ::getsockopt(descriptor, SOL_SOCKET, name, &value, &size) == 0 ? value : otherwise;
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::listen_unix(EventLoop& loop, const UnixSocketOptions& options,
                                                        Accepted accepted) {
  const std::string& path = options.path;
  const Result<sockaddr_un> address = unix_address(path);
  if (!address) return tl::unexpected(address.error());
  if (const Result<void> ready = remove_stale(path, *address); !ready) return tl::unexpected(ready.error());

  UniqueFd descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (descriptor.get() < 0) return fail(Errc::invalid, "cannot make a socket: " + errno_text());
  if (::bind(descriptor.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return fail(errno == EADDRINUSE ? Errc::busy : Errc::invalid,
                "cannot make the socket " + path + ": " + errno_text());
  }
  SocketFile file(path);
  // Nobody can connect before listen(), so the file never lets in more people than it should. The mode comes after the
  // group: changing the group may clear bits of it.
  if (!options.group.empty()) {
    if (const Result<void> given = give_to_group(path, options.group); !given) return tl::unexpected(given.error());
  }
  if (::chmod(path.c_str(), options.mode) != 0) {
    return fail(Errc::invalid, "cannot set the mode of " + path + ": " + errno_text());
  }
  if (::listen(descriptor.get(), kBacklog) != 0) {
    return fail(Errc::invalid, "cannot listen on " + path + ": " + errno_text());
  }
  return begin(loop, std::move(descriptor), AF_UNIX, std::move(file), std::move(accepted));
}

Result<std::unique_ptr<Listener>> Listener::open_unix(EventLoop& loop, const UnixSocketOptions& options,
                                                      InheritedSockets& inherited, Accepted accepted) {
  const std::optional<int> descriptor = inherited.take(options.path);
  auto listener =
      descriptor ? adopt_fd(loop, *descriptor, std::move(accepted)) : listen_unix(loop, options, std::move(accepted));
  if (!listener) {
    if (!descriptor) return listener;
    ::close(*descriptor);
    return fail(listener.error().code, "the inherited socket " + options.path + ": " + listener.error().what);
  }
  log::info("net.listening", {{"path", options.path}, {"inherited", descriptor.has_value()}});
  return listener;
}

Result<std::unique_ptr<Listener>> Listener::listen_tcp(EventLoop& loop, const std::string& ip, std::uint16_t port,
                                                       Accepted accepted) {
  sockaddr_storage address{};
  socklen_t size = 0;
  if (uv_ip4_addr(ip.c_str(), port, reinterpret_cast<sockaddr_in*>(&address)) == 0) {
    size = sizeof(sockaddr_in);
  } else if (uv_ip6_addr(ip.c_str(), port, reinterpret_cast<sockaddr_in6*>(&address)) == 0) {
    size = sizeof(sockaddr_in6);
  } else {
    return fail(Errc::invalid, "'" + ip + "' is not an IP address");
  }
  const std::string where = ip + " port " + std::to_string(port);
  UniqueFd descriptor(::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (descriptor.get() < 0) return fail(Errc::invalid, "cannot make a socket: " + errno_text());
  const int on = 1;
  (void)::setsockopt(descriptor.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(descriptor.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(descriptor.get(), kBacklog) != 0) {
    return fail(errno == EADDRINUSE ? Errc::busy : Errc::invalid, "cannot listen on " + where + ": " + errno_text());
  }
  return begin(loop, std::move(descriptor), address.ss_family, SocketFile{}, std::move(accepted));
}

Result<std::unique_ptr<Listener>> Listener::adopt_fd(EventLoop& loop, int descriptor, Accepted accepted) {
  const std::string name = "the descriptor " + std::to_string(descriptor);
  const int family = socket_option<int>(descriptor, SO_DOMAIN, -1);
  if (family != AF_UNIX && family != AF_INET && family != AF_INET6) {
    return fail(Errc::invalid, name + " is not a Unix or TCP socket");
  }
  if (socket_option<int>(descriptor, SO_TYPE, -1) != SOCK_STREAM ||
      socket_option<int>(descriptor, SO_ACCEPTCONN, 0) == 0) {
    return fail(Errc::invalid, name + " is not a listening stream socket");
  }
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0 || ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) {
    return fail(Errc::invalid, "cannot set up " + name + ": " + errno_text());
  }
  return begin(loop, UniqueFd(descriptor), family, SocketFile{}, std::move(accepted));
}

}  // namespace twinspool::net
