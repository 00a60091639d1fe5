// Puts a Disk under the real calls of this process: whoever opens, writes, renames or syncs below kMount, be it our own
// library, SQLite or the standard library, has the disk and not the kernel.
//
// The test program defines these calls itself, and so its definitions are found before those of the C library, by
// shared libraries, too. Only for a program of one thread, and for the calls that a store makes.
#pragma once

#include <cstdint>
#include <string>

#include "crash/disk.h"

namespace twinspool::crash {

constexpr const char* kMount = "/crash-disk";

class Mounted {
 public:
  explicit Mounted(Disk& disk);
  ~Mounted();
  Mounted(Mounted&&) = delete;

 private:
  Disk* before_;
};

// The random numbers of this process, SQLite's aside, begin anew: a run is the same each time.
void seed_random(std::uint64_t seed);

// A store that is opened from now on gets psow=1, and is told that it has psow=0.
void pretend_powersafe_overwrite(bool pretend);

}  // namespace twinspool::crash
