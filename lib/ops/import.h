// twinspool import: NDJSON in the format of POST /telemetry:batch, into the running daemon's queue.
//
// One batch at a time, so the order of the lines stays. What comes with a Message-Id that the daemon still knows
// (store.dedup_window) is stored once, so an import that was cut off may simply be done again within that time; later
// it goes on behind the line that it named last.
#pragma once

#include <cstdint>
#include <string>

#include "ops/exit_code.h"

namespace twinspool::ops {

struct ImportOptions {
  std::string file;  // empty or "-": standard input
  std::uint64_t from_line = 1;
  std::size_t batch = 1000;  // lines
  bool json = false;         // the summary
};

ExitCode run_import(const ImportOptions& options, const std::string& message_socket);

}  // namespace twinspool::ops
