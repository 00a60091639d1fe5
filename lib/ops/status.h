// twinspool status: is it delivering, and if not, why and since when.
#pragma once

#include <string>

#include "ops/exit_code.h"
#include "util/json.h"

namespace twinspool::ops {

enum class Colour : bool { off, on };

// The daemon's status document as at most 24 lines of 80 columns. What the document lacks is shown as "?"; control
// characters in it never reach the terminal. Pure.
std::string render_status(const json::Document& status, Colour colour);

ExitCode run_status(const std::string& admin_socket_path, bool json);

}  // namespace twinspool::ops
