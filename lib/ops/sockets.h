// Where the daemon listens, as its configuration says, and why it cannot be reached there.
#pragma once

#include <string>

#include "util/error.h"

namespace twinspool::ops {

constexpr const char* kDefaultConfigPath = "/etc/twinspool/twinspool.yaml";

struct SocketOptions {  // of the command line; empty: not given
  std::string config;
  std::string message_socket;
  std::string admin_socket;
};

struct Sockets {
  std::string message;
  std::string admin;
};

// What is given wins, then the configuration, then the defaults where the default configuration is absent or not ours
// to read. A configuration that was named has to be there and right.
Result<Sockets> find_sockets(const SocketOptions& options);

// After a failed connection to `path`: names the socket, the likely cause and what to do.
std::string why_not_reachable(const std::string& path, const std::string& reason);

}  // namespace twinspool::ops
