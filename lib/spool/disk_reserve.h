// Disk space held back in a file of its own, so that a full disk does not stop the drain: when SQLite finds the disk
// full the reserve is given up, and what left the queue can be recorded, which in the end gives space back.
//
// Blocking; used by the writer thread and at start. The file holds nothing: losing it loses nothing.
#pragma once

#include <cstdint>
#include <string>

#include "util/error.h"

namespace twinspool {

class DiskReserve {
 public:
  // A WAL that cannot be copied into the file never begins anew, so there must be room for all that it may hold: what
  // checkpoints let it grow to, and the largest commit. An eighth of a small file system, but no less than a usual WAL.
  static constexpr std::uint64_t kBytesMax = 16 * 1024 * 1024;
  static constexpr std::uint64_t kBytesMin = 8 * 1024 * 1024;

  explicit DiskReserve(std::string path);  // a reserve of an earlier process is taken over

  bool held() const { return held_; }
  std::uint64_t bytes() const { return bytes_; }

  // Errc::full where the file system does not have it: nothing of it stays then.
  Result<void> take();
  void release();

 private:
  std::string path_;
  std::uint64_t bytes_ = 0;
  bool held_ = false;
};

}  // namespace twinspool
