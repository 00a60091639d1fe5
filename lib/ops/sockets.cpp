#include "ops/sockets.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "config/load.h"

namespace twinspool::ops {

namespace {

std::string group_of(const std::string& path) {
  struct stat socket {};
  if (stat(path.c_str(), &socket) != 0) return "";
  const group* entry = getgrgid(socket.st_gid);  // one thread here
  return entry == nullptr ? std::to_string(socket.st_gid) : entry->gr_name;
}

Result<Config> config_for(const std::string& given) {
  if (!given.empty()) return load_config(given);
  if (access(kDefaultConfigPath, R_OK) != 0) return Config{};
  return load_config(kDefaultConfigPath);
}

}  // namespace

Result<Sockets> find_sockets(const SocketOptions& options) {
  Sockets sockets{.message = options.message_socket, .admin = options.admin_socket};
  if (!sockets.message.empty() && !sockets.admin.empty()) return sockets;
  const auto config = config_for(options.config);
  if (!config) {
    return fail(Errc::invalid,
                "the configuration does not say where the daemon listens (give --socket and --admin to do "
                "without it):\n" +
                    config.error().what);
  }
  if (sockets.message.empty()) sockets.message = config->listen.front().path;
  if (sockets.admin.empty()) sockets.admin = config->admin.path;
  return sockets;
}

std::string why_not_reachable(const std::string& path, const std::string& reason) {
  std::string cause;
  if (access(path.c_str(), W_OK) == 0) {
    cause =
        "the socket is there, but nobody answers on it: twinspoold is probably not running (systemctl status "
        "twinspoold)";
  } else if (errno == ENOENT || errno == ENOTDIR) {
    cause =
        "there is no such socket: twinspoold is not running (systemctl status twinspoold), or it listens elsewhere "
        "(--config, --socket, --admin)";
  } else if (errno == EACCES) {
    const std::string group = group_of(path);
    cause = group.empty() ? "you may not look into its directory: use sudo"
                          : fmt::format(
                                "you may not use it: be in the group {} (sudo usermod -aG {} USER, then log in "
                                "again), or use sudo",
                                group, group);
  } else {
    cause = reason + "; see the log of twinspoold (journalctl -u twinspoold)";
  }
  return fmt::format("the daemon is not reachable at {}: {}", path, cause);
}

}  // namespace twinspool::ops
