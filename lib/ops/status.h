// twinspool status: is it delivering, and if not, why and since when.
#pragma once

#include <string>

#include "ops/draw.h"
#include "ops/exit_code.h"
#include "util/json.h"

namespace twinspool::ops {

constexpr std::size_t kStatusLines = 24;

// The daemon's status document as at most `lines_max` lines of 80 columns, the most important first. What the document
// lacks is shown as "?"; control characters in it never reach the terminal. Pure.
std::string render_status(const json::Document& status, Colour colour, std::size_t lines_max = kStatusLines);

ExitCode run_status(const std::string& admin_socket_path, bool json, bool wants_colour = true);

}  // namespace twinspool::ops
