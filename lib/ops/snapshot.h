// twinspool snapshot: a copy of the queue, while the daemon runs or not.
#pragma once

#include <string>

#include "ops/exit_code.h"

namespace twinspool::ops {

// By a connection of the operator's own, so the file is the operator's, and may be wherever the operator may write.
ExitCode run_snapshot(const std::string& file, const std::string& config, bool json);

}  // namespace twinspool::ops
