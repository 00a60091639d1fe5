#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "spool/committer.h"
#include "spool/fixture.h"

namespace twinspool {
namespace {

std::atomic<bool> syncs_fail{false};
std::atomic<bool> disk_full{false};
std::atomic<bool> no_block_free{false};
std::atomic<std::size_t> writes_seen{0};
const sqlite3_io_methods* real_methods = nullptr;
std::map<const sqlite3_io_methods*, sqlite3_io_methods> our_methods;  // a WAL has others than a database
sqlite3_vfs our_vfs;
sqlite3_vfs* real_vfs = nullptr;

std::mutex names_mutex;
std::map<sqlite3_file*, std::string> names;
std::map<std::string, sqlite3_int64> room;  // by name, measured once for each file while no block is free

// What the file has been given: its size and what was reserved for it, as far as it has blocks. Blocks alone would not
// do: a file system may hold more than anybody asked for (delayed allocation, preallocation, large blocks), more of
// them while the file grows, and not in the same way twice.
sqlite3_int64 room_of(const std::string& name) {
  struct stat info {};
  if (::stat(name.c_str(), &info) != 0) return 0;
  const bool is_wal = name.ends_with("-wal");
  const sqlite3_int64 asked_for =
      std::max<sqlite3_int64>(info.st_size, is_wal ? static_cast<sqlite3_int64>(kWalReserveBytes) : 0);
  return std::min<sqlite3_int64>(asked_for, info.st_blocks * sqlite3_int64{512});
}

bool has_blocks_for(sqlite3_file* file, sqlite3_int64 end) {
  const std::lock_guard lock(names_mutex);
  const std::string& name = names[file];
  const auto known = room.find(name);
  return end <= (known != room.end() ? known->second : room.emplace(name, room_of(name)).first->second);
}

int our_write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
  ++writes_seen;
  if (disk_full || (no_block_free && !has_blocks_for(file, offset + count))) return SQLITE_FULL;
  return real_methods->xWrite(file, bytes, count, offset);
}

int our_sync(sqlite3_file* file, int flags) {
  if (syncs_fail) return SQLITE_IOERR_FSYNC;
  return real_methods->xSync(file, flags);
}

int our_open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  const int status = real_vfs->xOpen(real_vfs, name, file, flags, out_flags);
  if (status != SQLITE_OK || file->pMethods == nullptr) return status;
  {
    const std::lock_guard lock(names_mutex);
    names[file] = name != nullptr ? name : "";
  }
  for (const auto& [real, ours] : our_methods)
    if (file->pMethods == &ours) return status;
  real_methods = file->pMethods;  // all of them write and sync by the same functions
  sqlite3_io_methods& ours = our_methods.try_emplace(file->pMethods, *file->pMethods).first->second;
  ours.xWrite = our_write;
  ours.xSync = our_sync;
  file->pMethods = &ours;
  return status;
}

}  // namespace

DiskFaults::DiskFaults() {
  if (real_vfs == nullptr) {
    real_vfs = sqlite3_vfs_find(nullptr);
    our_vfs = *real_vfs;
    our_vfs.zName = "faulty";
    our_vfs.xOpen = our_open;
  }
  ENSURE(sqlite3_vfs_register(&our_vfs, 1) == SQLITE_OK);
}

DiskFaults::~DiskFaults() {
  syncs_fail = false;
  disk_full = false;
  no_block_free = false;
  sqlite3_vfs_register(real_vfs, 1);
}

void DiskFaults::fail_syncs(bool failing) { syncs_fail = failing; }
void DiskFaults::fill_up(bool full) { disk_full = full; }
void DiskFaults::no_room(bool full) {
  const std::lock_guard lock(names_mutex);
  room.clear();
  if (full) {
    for (const auto& [file, name] : names) room.emplace(name, room_of(name));
  }
  no_block_free = full;
}
std::size_t DiskFaults::writes() const { return writes_seen; }

}  // namespace twinspool
