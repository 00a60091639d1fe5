// twinspool repair: what can be salvaged of a damaged queue, and a new file made of it. Offline; the old file is kept.
// With --acknowledge: tells the daemon that an operator knows, which ends its state `degraded`.
#pragma once

#include <string>

#include "ops/exit_code.h"
#include "spool/repair.h"

namespace twinspool::ops {

struct RepairOptions {
  std::string file;    // empty: the configuration's
  std::string config;  // empty: the default
  bool apply = false;  // else the plan
  bool json = false;
};

std::string render_repair(const RepairReport& report, bool applied, bool json);  // pure

ExitCode run_repair(const RepairOptions& options);  // kFailed also where something is lost or damaged
ExitCode run_acknowledge(const std::string& admin_socket, bool json);

}  // namespace twinspool::ops
