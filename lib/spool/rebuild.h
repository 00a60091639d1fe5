// Carries every row of a store whose disk has failed over into a new file.
//
// After a failed write or sync nobody knows what the old files hold on disk, but the connection that was open sees
// every row it acknowledged, so the rows are read through it. The new file is not the store before it is whole: every
// row copied and its checksum taken, synced, and read back from the disk, row by row. Blocking, in slices, between
// which the store can be read; one thread; memory: a slice.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "spool/generation.h"
#include "spool/table_reader.h"

namespace twinspool {

class Rebuild {
 public:
  struct Report {
    std::uint64_t rows = 0, messages = 0;
    std::uint64_t damaged = 0;  // messages whose checksum was wrong before: copied as they are, never sent
  };

  static Result<std::unique_ptr<Rebuild>> begin(const StoreFiles& current);

  // True: there is more. After an error it is over: what was made goes when the object does.
  Result<bool> step(sqlite::Database& old);

  Generation& generation() { return generation_; }
  const Report& report() const { return report_; }

 private:
  struct Count {
    std::uint64_t rows = 0;
    std::uint64_t digest = 0;  // of all values, in order
  };

  explicit Rebuild(Generation generation, std::vector<TableShape> tables)
      : generation_(std::move(generation)), tables_(std::move(tables)) {}
  Result<bool> copy(sqlite::Database& old);
  Result<void> sync();
  Result<bool> verify();
  void add(Count& count, const Row& row);

  Generation generation_;
  std::vector<TableShape> tables_;  // names first, messages last
  std::vector<Count> copied_, read_back_;
  std::size_t at_ = 0;
  bool verifying_ = false;
  Digester digester_{DigestKey{}};
  std::optional<sqlite::Database> database_;  // before what is prepared on it
  std::optional<sqlite::Statement> insert_;
  std::optional<TableReader> reader_;
  std::optional<RowChecker> checker_;
  Report report_;
};

}  // namespace twinspool
