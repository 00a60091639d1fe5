// The place of one store: its files, the lock that makes them ours, the reserve of disk space, and the run file that
// tells the next start how we left. Blocking.
#pragma once

#include <string>

#include "spool/adoption.h"
#include "spool/disk_reserve.h"
#include "spool/files.h"

namespace twinspool {

class StoreHome {
 public:
  // Everything up to where SQLite may open files().database: directory, lock, what the file is, adoption after an
  // unclean stop. A file that is not ours is refused untouched; so is a store that should be there and is not, because
  // starting with an empty one would hide the loss.
  static Result<StoreHome> open(const std::string& path, const std::string& boot_id);

  const StoreFiles& files() const { return files_; }
  DiskReserve& reserve() { return reserve_; }
  bool is_new() const { return is_new_; }

  Result<void> mark_running();  // before the first write
  Result<void> mark_clean();    // after the last
  void mark_io_error();         // best effort: the disk has just failed

 private:
  StoreHome(StoreFiles files, StoreLock lock)
      : files_(std::move(files)), lock_(std::move(lock)), reserve_(files_.reserve) {}
  StoreFiles files_;
  StoreLock lock_;
  DiskReserve reserve_;
  RunFile run_;
  bool is_new_ = false;
};

}  // namespace twinspool
