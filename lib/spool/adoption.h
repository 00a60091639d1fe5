// Starting after a stop that was not clean.
//
// When a write or a sync fails, Linux marks the pages clean although they never reached the disk. A process that is
// started again in the same boot reads them back from the page cache, "recovers" transactions that the disk does not
// have, appends behind them, and the next power cut takes the rows it then acknowledged. What was read must first be
// written again, to blocks the kernel does not believe to be clean: so the WAL is copied to a new file, synced and
// renamed into place, before SQLite opens anything. After a reboot there is no such cache, and the disk's view is the
// truth; nothing is copied.
//
// Either way what fills the sector of the last commit is made whole (spool/wal_frame.h).
//
// The run file beside the database says which case it is. Blocking; before the writer thread runs.
#pragma once

#include <cstdint>
#include <string>

#include "spool/files.h"
#include "util/error.h"

namespace twinspool {

struct RunFile {
  enum class State : std::uint8_t { absent, clean, running };
  State state = State::absent;
  std::string boot_id;
  std::int64_t pid = 0;
  bool io_error = false;  // the last process saw one: the main file, too, may be known only to the cache
};

Result<RunFile> read_run_file(const StoreFiles& files);

// Replaces it durably; on a full disk it is overwritten in place, which needs no block.
Result<void> write_run_file(const StoreFiles& files, const RunFile& run);

// Copies what `last` makes doubtful; a `damaged` WAL stays as it is, for salvage. Errc::busy where another process has
// the database open and an I/O error was seen: it would go on reading the old file.
Result<void> adopt(const StoreFiles& files, const RunFile& last, const std::string& boot_id, bool damaged);

}  // namespace twinspool
