// twinspool explain STATUS [CODE]: what the forwarder does about an answer of the cloud, by the code that decides.
#pragma once

#include <string>

#include "ops/exit_code.h"

namespace twinspool::ops {

struct ExplainOptions {
  int status = 0;
  std::string code;   // x-ms-error-code
  bool page = false;  // the answer is an HTML page
  bool json = false;
};

std::string explain(const ExplainOptions& options);  // pure

ExitCode run_explain(const ExplainOptions& options);

}  // namespace twinspool::ops
