// Wiring only: members in start order, destroyed in reverse; signals, reload, drain.
#pragma once

#include <string>

#include "config/config.h"
#include "forward/endpoint.h"
#include "util/log.h"

namespace twinspool {

log::Level log_level(const LogConfig& config);
log::Format log_format(const LogConfig& config);

class Daemon {
 public:
  // Runs until SIGTERM or SIGINT. 0: stopped cleanly; 1: could not start, or could not stop in time; the log says why.
  // `manner`: only scripts/bench fleet asks for another one.
  static int run(const Config& config, const std::string& config_path,
                 forward::Return manner = forward::Return::gentle);
};

}  // namespace twinspool
