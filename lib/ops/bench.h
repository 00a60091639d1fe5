// twinspool bench: how many messages a second a daemon stores, and how long a 204 takes.
#pragma once

#include <string>

#include "ops/exit_code.h"
#include "ops/load.h"

namespace twinspool::ops {

struct BenchOptions {
  LoadOptions load;  // without its socket
  bool yes = false;  // it writes telemetry that will be delivered
  bool json = false;
};

// Both pure.
std::string what_it_will_do(const LoadOptions& load);
std::string render_bench(const LoadOptions& load, const LoadReport& report, bool json);

// Fails where not a single message was stored; refusals beside are counted in the report.
ExitCode run_bench(const BenchOptions& options, const std::string& socket_path);

}  // namespace twinspool::ops
