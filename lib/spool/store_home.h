// The place of one store: its files, the lock that makes them ours, the reserve of disk space, and the run file that
// tells the next start how we left. Blocking.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "spool/adoption.h"
#include "spool/disk_reserve.h"
#include "spool/files.h"

namespace twinspool {

class StoreHome {
 public:
  // Everything up to where SQLite may open files().database: directory, lock, what the file is, adoption after an
  // unclean stop. A file that is not ours is refused untouched; so is a store that should be there and is not, because
  // starting with an empty one would hide the loss. A file that is ours and damaged is for salvage: damage().
  static Result<StoreHome> open(const std::string& path, const std::string& boot_id);

  const StoreFiles& files() const { return files_; }
  DiskReserve& reserve() { return reserve_; }
  bool is_new() const { return is_new_; }
  bool is_complete() const { return is_complete_; }  // it was opened before: its run file says so
  // Not empty: what SQLite must not be given, and why. Its rows can still be salvaged.
  const std::string& damage() const { return damage_; }
  // The last stop was not clean, and the WAL is not there: somebody removed it, and what it held.
  bool wal_is_missing() const { return wal_is_missing_; }
  bool was_clean() const { return was_clean_; }  // the last stop

  Result<void> mark_running();  // before the first write
  Result<void> mark_clean();    // after the last
  void mark_io_error();         // best effort: the disk has just failed

  void move_to(const StoreFiles& files);  // another generation is the store now: sound, and of this process
  void remember_files();                  // once SQLite has them open
  bool files_are_there() const;           // those that were remembered, under their names

 private:
  StoreHome(StoreFiles files, StoreLock lock)
      : files_(std::move(files)), lock_(std::move(lock)), reserve_(files_.reserve) {}
  StoreFiles files_;
  StoreLock lock_;
  DiskReserve reserve_;
  RunFile run_;
  bool is_new_ = false;
  bool is_complete_ = false;
  bool was_clean_ = false;
  std::string damage_;
  bool wal_is_missing_ = false;
  std::array<std::pair<std::uint64_t, std::uint64_t>, 2> open_files_{};  // device and number of database and WAL
};

}  // namespace twinspool
