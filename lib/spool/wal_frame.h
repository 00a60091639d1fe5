// The format of a WAL, read without SQLite: header, frames, and the checksum that chains them
// (https://sqlite.org/fileformat2.html, section 4). Pages of 4096 bytes, which every store of ours has.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "spool/page_file.h"

namespace twinspool {

constexpr std::uint64_t kWalHeaderBytes = 32;
constexpr std::uint64_t kFrameHeaderBytes = 24;
constexpr std::uint64_t kFrameBytes = kFrameHeaderBytes + kPageBytes;

using WalSalts = std::pair<std::uint32_t, std::uint32_t>;

struct WalChecksum {  // Fibonacci-weighted sums over pairs of words
  std::uint32_t first = 0, second = 0;
  friend bool operator==(const WalChecksum&, const WalChecksum&) = default;
  void add(const char* bytes, std::size_t count, bool big);
};

struct WalFrame {
  std::array<char, kFrameHeaderBytes> header;
  Page page;

  PageNumber number() const;
  PageNumber pages_after_commit() const;  // 0: no commit
  WalSalts salts() const;
  WalChecksum written() const;
  WalChecksum after(WalChecksum seed, bool big) const;  // what should be written, behind a frame of `seed`
  void set_written(const WalChecksum& checksum);
  bool pads(const WalFrame& before) const;  // a copy of it, to fill the sector in which it ends
};

struct WalHeader {
  WalSalts salts;
  bool big = false;                 // the order of bytes of what the checksums add up
  bool valid = false;               // SQLite takes it; otherwise it begins with an empty WAL
  std::optional<WalChecksum> seed;  // nullopt: damaged, so the first frame has nothing to continue
  // Not valid, and another round of the WAL than that of `salts` had begun. One begins when a checkpoint has put
  // everything into the database, so the WAL has nothing that the database does not have.
  bool superseded = false;
};

bool read_at(int file, std::uint64_t offset, char* to, std::size_t bytes);  // false: the medium does not have all
bool read_wal_frame(int file, std::uint64_t index, WalFrame& frame);        // from 0
// What is damaged of it is taken from the first frames that continue each other: behind a short round of the WAL stands
// the rest of a longer one.
WalHeader read_wal_header(int file, std::uint64_t frames);

// With psow=0 SQLite fills the sector in which a commit ends with a copy of its last frame, so that nothing is ever
// written into it again; but syncs no further than to its end. After a power cut the copy may be incomplete, and SQLite
// would write the next frame over it: into the sector of what was acknowledged. This completes the copy. The part of it
// in that sector was synced with the commit, so only the next one is written; where it was not, nobody was told of the
// commit. Unsynced. Errors: errno_error() of `path`.
Result<void> pad_wal(int file, const std::string& path);

}  // namespace twinspool
