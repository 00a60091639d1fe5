// twinspool selftest storage: what the disk below the queue sustains, and what that costs it.
//
// Beside the queue, in a directory that goes again: a file that is synced block by block, then a real spool whose
// messages are stored and delivered, with 1, 8 and 64 under way. The bytes are those that the kernel counts for this
// process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/exit_code.h"
#include "util/error.h"
#include "util/time.h"

namespace twinspool::ops {

struct StorageTestOptions {
  std::string config;
  std::string admin_socket;
  std::string directory;                    // empty: that of store.path
  double rate = 0;                          // messages a second, for the wear; 0: as the daemon has them now
  Duration each = std::chrono::seconds(2);  // of its parts
  bool json = false;
};

struct StorageRate {
  std::size_t in_flight = 0;
  double messages_per_second = 0;
  double bytes_per_message = 0;  // written, its whole life included
};
struct StorageReport {
  std::string directory;
  std::uint64_t syncs = 0;
  double sync_p50_ms = 0, sync_p99_ms = 0;
  std::vector<StorageRate> rates;
};
struct Wear {
  double rate = 0;  // messages a second
  double bytes_per_message = 0;
  double bytes_per_day = 0;
};

// How many messages share a commit at that rate hangs on how long a sync takes; so do the bytes of each. Pure.
Wear wear_at(double rate, const StorageReport& report);
std::string render_storage(const StorageReport& report, const Wear& wear, bool json);  // pure

Result<StorageReport> measure_storage(const std::string& directory, Duration each);
ExitCode run_storage_test(const StorageTestOptions& options);

}  // namespace twinspool::ops
