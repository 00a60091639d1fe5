#include "net/inherited_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <string_view>

namespace twinspool::net {
namespace {

constexpr int kFirstDescriptor = 3;  // SD_LISTEN_FDS_START
constexpr int kDescriptorsMax = 1024;

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value != nullptr ? value : "";
  ::unsetenv(name);
  return text;
}

int number_in(std::string_view text) {  // -1: it is none
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : -1;
}

std::string path_of(int descriptor) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  const std::size_t path_at = offsetof(sockaddr_un, sun_path);
  if (address.sun_family != AF_UNIX || size <= path_at || address.sun_path[0] == '\0') return {};
  const std::string_view path(address.sun_path, size - path_at);
  return std::string(path.substr(0, path.find('\0')));
}

}  // namespace

InheritedSockets InheritedSockets::from_environment() {
  const int process = number_in(take_variable("LISTEN_PID"));
  const int count = number_in(take_variable("LISTEN_FDS"));
  const std::string names = take_variable("LISTEN_FDNAMES");
  InheritedSockets inherited;
  if (process != ::getpid() || count < 0 || count > kDescriptorsMax) return inherited;
  std::string_view rest = names;
  for (int descriptor = kFirstDescriptor; descriptor < kFirstDescriptor + count; ++descriptor) {
    const std::string_view name = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (::fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) continue;  // there is no such descriptor
    inherited.sockets_.push_back({descriptor, path_of(descriptor), std::string(name)});
  }
  return inherited;
}

InheritedSockets::~InheritedSockets() {
  for (const Socket& socket : sockets_) ::close(socket.descriptor);
}

std::optional<int> InheritedSockets::take(const std::string& path) {
  const auto found =
      std::find_if(sockets_.begin(), sockets_.end(), [&](const Socket& socket) { return socket.path == path; });
  if (path.empty() || found == sockets_.end()) return std::nullopt;
  const int descriptor = found->descriptor;
  sockets_.erase(found);
  return descriptor;
}

std::vector<std::string> InheritedSockets::left() const {
  std::vector<std::string> left;
  for (const Socket& socket : sockets_)
    left.push_back(socket.path.empty() ? socket.name + " (no Unix socket with a path)" : socket.path);
  return left;
}

}  // namespace twinspool::net
