// twinspool replay, quarantine retry and quarantine purge: messages that left the queue are put back, or thrown away.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/exit_code.h"
#include "util/json.h"

namespace twinspool::ops {

struct ReplayOptions {
  std::string twin, since, until;
  bool yes = false, json = false;
};

struct QuarantineOptions {
  std::vector<std::uint64_t> sequences;
  bool all = false, yes = false, json = false;
};

std::string render_recalled(const json::Document& recalled, const std::string& done);  // "3 messages (1 KB) ...". Pure.

// Without --yes they say what they would do, and do nothing.
ExitCode run_replay(const ReplayOptions& options, const std::string& admin_socket);
ExitCode run_quarantine_retry(const QuarantineOptions& options, const std::string& admin_socket);
ExitCode run_quarantine_purge(const QuarantineOptions& options, const std::string& admin_socket);

}  // namespace twinspool::ops
