// twinspool doctor: looks at everything that a delivery hangs on, step by step, and names the broken one and the
// remedy.
//
// It goes the daemon's own way: its configuration, dialer, token sources and table of answers. Nothing is changed; the
// probe is a request for a twin that does not exist, unless one is named.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "forward/outcome.h"
#include "ops/draw.h"
#include "ops/exit_code.h"
#include "ops/findings.h"
#include "util/time.h"

namespace twinspool::ops {

struct DoctorOptions {
  std::string config;
  std::string admin_socket;  // empty: the configuration's
  std::string twin;          // a real message goes to it; empty: a twin that does not exist is asked for
  bool colour = true;
  bool json = false;
};

ExitCode run_doctor(const DoctorOptions& options);

// What the figures mean. Pure.
Finding judge_clock(WallTime now, bool synchronized);
Finding judge_disk(const std::string& directory, std::uint64_t free_bytes, std::uint64_t queued_bytes,
                   const StoreConfig& limits);
struct Probe {
  std::string twin;
  bool made_up = true;  // no such twin is expected to exist
};
Finding judge_probe(const forward::Outcome& outcome, const Probe& probe);
// Against the cloud's own clock, as its answer's Date has it.
Finding judge_skew(WallTime ours, std::int64_t cloud_seconds);

}  // namespace twinspool::ops
