// Successive files of one store, behind one name.
//
// `queue.db` begins as a plain file. When its disk failed under it, or it is damaged, the rows go into a new file in a
// directory of its own, queue.db.gen-N/queue.db, so that a database and the WAL of another can never meet; and one
// rename makes `queue.db` a link to it. The old file and its WAL stay: first under a second name,
// queue.db.corrupt-<UTC> or queue.db.failed-<UTC> (hard links, so nothing is copied), then only under that. A crash
// leaves either the old store whole or the new one. Blocking.
#pragma once

#include <string>
#include <vector>

#include "spool/files.h"

namespace twinspool {

constexpr std::size_t kAsideMax = 8;  // files set aside; with more the next is not made, and somebody must look

class Generation {
 public:
  // Makes the directory and an empty database with the owner and mode of the old one. A mark in it says "half-built"
  // until it is switched in. Errc::full also where kAsideMax old files are there already.
  static Result<Generation> begin(const StoreFiles& current);
  Generation(Generation&& other) noexcept;
  ~Generation();  // what was not switched in is removed

  const StoreFiles& files() const { return files_; }

  // The caller has synced the database and closed it. `aside` becomes the old database's name, with -wal its WAL's.
  Result<void> switch_in(const StoreFiles& old, const std::string& aside);

 private:
  Generation() = default;
  StoreFiles files_;
  bool half_built_ = false;
};

// A name that is free: `why` is corrupt or failed.
std::string aside_name(const StoreFiles& files, const std::string& why, std::int64_t wall_ms);

// At start, with the lock held: half-built generations go, and what an interrupted switch left under its old name.
void tidy_generations(const StoreFiles& current);

struct Aside {
  std::string database;
  std::uint64_t bytes = 0;  // with its WAL
};
std::vector<Aside> files_aside(const StoreFiles& files);  // the oldest first

// That something happened which an operator should know, until one says so: queue.db.degraded.
struct Degraded {
  std::int64_t since_ms = 0;  // 0: it is not
  std::string what;
};
Degraded read_degraded(const StoreFiles& files);
Result<void> write_degraded(const StoreFiles& files, const Degraded& degraded);
Result<void> acknowledge_degraded(const StoreFiles& files);

}  // namespace twinspool
