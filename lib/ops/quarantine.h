// twinspool quarantine list, show and export: what the cloud refused, and why.
#pragma once

#include <cstdint>
#include <string>

#include "ops/exit_code.h"
#include "util/json.h"

namespace twinspool::ops {

// Pure. One message a line; everything of one, its body last; and the batch format of POST /telemetry:batch.
std::string render_quarantine(const json::Document& page);
std::string render_quarantined(const json::Document& page);
std::string export_quarantine(const json::Document& page);

ExitCode run_quarantine_list(const std::string& admin_socket, bool json);
ExitCode run_quarantine_show(std::uint64_t sequence, const std::string& admin_socket, bool json);
ExitCode run_quarantine_export(const std::string& admin_socket);

}  // namespace twinspool::ops
