// Which store a verb works on that reads the file itself, and how it opens it.
#pragma once

#include <string>

#include "spool/sqlite.h"
#include "util/error.h"

namespace twinspool::ops {

struct StoreOptions {  // of the command line; empty: not given
  std::string file;
  std::string config;
};

// `given` wins, then the configuration's store.path, then the default's.
Result<std::string> find_store(const std::string& given, const std::string& config);

// Read-only, beside a running daemon or without one; an error says what to do about it. Not to be kept for long: after
// a recovery the queue is another file.
Result<sqlite::Database> open_store(const std::string& path);

}  // namespace twinspool::ops
