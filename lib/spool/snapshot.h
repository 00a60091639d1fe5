// An online, consistent copy of the queue in one file, by a reader: the daemon goes on meanwhile, or is not running.
//
// The copy is made in the same directory as the file, verified, synced, and only then gets its name; a file that is
// there is never overwritten. For as long as it reads, the WAL does not start anew and grows by what comes in: about
// what the disk copies at the queue's size. Blocking.
#pragma once

#include <cstdint>
#include <string>

#include "spool/sqlite.h"
#include "util/error.h"

namespace twinspool {

struct Snapshot {
  std::string file;
  std::uint64_t bytes = 0;
  std::uint64_t queued_messages = 0, quarantine_messages = 0;
};

// `database`: as open_for_questions() opens it. Errc::busy where `file` is there, Errc::timeout where the database was
// told to interrupt.
Result<Snapshot> take_snapshot(sqlite::Database& database, const std::string& file);

}  // namespace twinspool
