// twinspool check: is the queue's file sound? Reads only; also beside a running daemon.
#pragma once

#include <string>

#include "ops/exit_code.h"
#include "spool/integrity.h"

namespace twinspool::ops {

struct CheckOptions {
  std::string file;    // empty: the configuration's
  std::string config;  // empty: the default
  bool deep = false;
  bool json = false;
};

std::string render_check(const IntegrityReport& report, bool json);  // pure

ExitCode run_check(const CheckOptions& options);  // kFailed where something is wrong

}  // namespace twinspool::ops
