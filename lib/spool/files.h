// The store's files and what must be true of them before SQLite may touch them. Blocking; before the writer thread
// runs.
#pragma once

#include <string>

#include "util/error.h"

namespace twinspool {

struct StoreFiles {
  std::string name;  // what people call it: store.path, links of theirs resolved; lock and run file stand beside it
  std::string directory;  // of the database
  std::string database;   // what SQLite opens: `name`, or the generation that it is a link to (spool/generation.h)
  std::string wal;
  std::string shm;
  std::string journal;
  std::string lock;
  std::string run;
  std::string reserve;
};

// Only says where they are. Errc::invalid: no file name, or a link of somebody's that leads nowhere.
Result<StoreFiles> locate_files(const std::string& path);

// Makes the directory where it is missing (0750; its parent must exist) and refuses file systems on which a full disk
// would kill the process.
Result<StoreFiles> prepare_files(const std::string& path);

// Makes `database` the one that SQLite opens.
void place_in(StoreFiles& files, const std::string& database);

// Held as long as it lives: one daemon per store.
class StoreLock {
 public:
  static Result<StoreLock> take(const StoreFiles& files);  // Errc::busy names the process that holds it
  ~StoreLock();
  StoreLock(StoreLock&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }

 private:
  explicit StoreLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

enum class FileState : std::uint8_t {
  absent,
  empty,
  ours,
  foreign,   // a SQLite database, and its header names another program
  no_header  // of a SQLite database
};

// Looks at the header without SQLite, as SQLite would find it.
Result<FileState> inspect(const StoreFiles& files);

// Makes an empty 0640 file, durably.
Result<void> create_empty(const std::string& path);

Error errno_error(const std::string& doing, const std::string& path);  // Errc::full for a full disk or quota
Result<void> sync_directory(const std::string& directory);
Result<void> sync_file(const std::string& path);
// `content` replaces the file at `path` whole or not at all, and is durable afterwards.
Result<void> replace_file(const std::string& path, const std::string& content);
Result<std::string> read_small_file(const std::string& path);  // the first 4 KiB; empty where there is no such file
// Gives an existing file blocks beyond its end, so that it can grow to `bytes` on a full disk. Best effort: on a file
// system that cannot, or has none left, nothing changes.
void reserve_blocks(const std::string& path, std::uint64_t bytes);
Result<void> check_block_size(
    const std::string& directory);                       // SQLite's shared memory needs 4 KiB blocks on a full disk
std::uint64_t free_bytes(const std::string& directory);  // of its file system, for us; UINT64_MAX where nobody knows
std::uint64_t file_size(const std::string& path);        // 0 where there is none

}  // namespace twinspool
