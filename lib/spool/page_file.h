// A database file and its WAL as pages, read without SQLite: for files that SQLite refuses, or must not be believed.
//
// A page is the newest committed version: of the WAL where it is there, else of the file. A frame is believed if its
// checksum continues that of the frame before it, as computed or as written there; so one damaged frame costs one page,
// where SQLite would drop all that follows. Plain reads, so a bad sector costs its page and kills nobody. Read-only;
// one thread; memory: 12 bytes a page of the WAL, and 8 a frame while it is opened. Not for a file that SQLite has open
// in this process: closing it here would drop SQLite's locks.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "util/error.h"

namespace twinspool {

using PageNumber = std::uint32_t;  // from 1

constexpr std::size_t kPageBytes = 4096;  // of every store we made
using Page = std::array<char, kPageBytes>;

class PageFile {
 public:
  // `wal` may be missing or empty.
  static Result<PageFile> open(const std::string& database, const std::string& wal);

  PageNumber pages() const { return pages_; }

  // False: beyond the end, or the medium does not give it.
  bool read(PageNumber number, Page& page) const;

  // Pages of the transaction that the WAL ends with, where no commit follows it: torn by a crash, or its commit frame
  // is the damaged one. read() does not know them.
  const std::vector<PageNumber>& unfinished() const { return unfinished_; }
  bool read_unfinished(std::size_t index, Page& page) const;

  struct Wal {
    std::uint64_t frames = 0;   // that belong to it
    std::uint64_t damaged = 0;  // frames in the middle of it that cannot be believed
    // Whole transactions follow a damaged frame, and the database does not have them: SQLite would drop them in
    // silence.
    bool lost_commits = false;
  };
  const Wal& wal() const { return wal_; }
  std::uint64_t unreadable() const { return unreadable_; }  // pages that the medium did not give, so far

 private:
  class Descriptor {
   public:
    explicit Descriptor(int number = -1) : number_(number) {}
    ~Descriptor();
    Descriptor(Descriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
    Descriptor& operator=(Descriptor&& other) noexcept;
    int get() const { return number_; }

   private:
    int number_;
  };

  PageFile() = default;
  void index_wal(std::uint64_t bytes);
  bool read_frame(std::uint64_t frame, Page& page) const;
  bool database_has_all() const;

  Descriptor database_, wal_file_;
  PageNumber pages_ = 0;
  std::unordered_map<PageNumber, std::uint32_t> frames_;  // page → frame, from 0
  std::optional<std::uint32_t> unchecked_;                // this frame, because what it continues is damaged
  std::vector<PageNumber> unfinished_;
  std::vector<std::uint32_t> unfinished_frames_;
  Wal wal_;
  mutable std::uint64_t unreadable_ = 0;
};

}  // namespace twinspool
