// What the disk and the files of the store look like while it runs, and what follows for what may be taken in: the
// reserve is held again, a WAL that grows is told with the process that keeps it, and at its limit it closes the gate.
// Asks the system at most four times a second. Writer thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "spool/clocks.h"
#include "spool/space.h"
#include "spool/store.h"
#include "spool/store_home.h"
#include "spool/wal_readers.h"

namespace twinspool {

class DiskWatch {
 public:
  struct Seen {
    std::uint64_t free_bytes = UINT64_MAX, file_bytes = 0, wal_bytes = 0;
    pid_t wal_holder = 0;  // who keeps a grown WAL from beginning anew; 0: nobody
    bool clock_synced = false;
    bool files_are_there = true;
  };

  DiskWatch(StoreHome& home, SpaceGate& gate) : home_(home), gate_(gate) {}

  void store_opened();  // its files are open, or others than before
  // True: it was time to look again. `may_write`: nothing is wrong with the files.
  Result<bool> look(Store& store, const SpoolClocks& clocks, bool may_write);
  Result<bool> look_now(Store& store, const SpoolClocks& clocks, bool may_write);
  const Seen& seen() const { return seen_; }
  std::int64_t seen_at_ms() const { return seen_at_ms_; }  // uptime

  void give_up_reserve();  // not before a record needs it: what it leaves free, another program may take at once

 private:
  void watch_readers();
  void restore_reserve();
  Result<void> bound_wal(Store& store);

  StoreHome& home_;
  SpaceGate& gate_;
  std::optional<WalReaders> wal_readers_;
  Seen seen_;
  std::int64_t seen_at_ms_ = INT64_MIN / 2;
  bool reserve_spent_ = false;  // given up by this process, and not held again since
};

}  // namespace twinspool
