// twinspool lanes: the twins that do not flow, and why.
#pragma once

#include <cstddef>
#include <string>

#include "ops/exit_code.h"
#include "util/json.h"

namespace twinspool::ops {

struct LanesOptions {
  std::size_t limit = 100;
  bool json = false;
};

std::string render_lanes(const json::Document& answer);  // pure: of GET /lanes, for people

ExitCode run_lanes(const LanesOptions& options, const std::string& admin_socket);

}  // namespace twinspool::ops
