// twinspool export: what waits, as NDJSON in the format of POST /telemetry:batch, oldest first.
#pragma once

#include <string>

#include "ops/exit_code.h"
#include "ops/queue_walk.h"

namespace twinspool::ops {

struct ExportOptions {
  QueueWalk::Where from;
  std::string file;   // empty or "-": standard output
  bool json = false;  // the summary
};

// Reads the queue's file and takes nothing out of it. Memory: one slice. Fails where a damaged message was left out.
ExitCode run_export(const ExportOptions& options);

}  // namespace twinspool::ops
