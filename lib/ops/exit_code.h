// How a verb of the operator's command ends, for scripts.
#pragma once

namespace twinspool::ops {

enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNotReachable = 3,  // the daemon
};

}  // namespace twinspool::ops
