// The stand-in cloud's memory of what it accepted: one JSON line a message, appended in arrival order.
//
// A record is in the file before its answer is sent, so a kill -9 of the stand-in loses nothing that was answered. The
// file outlives the process; a line that was cut off by a kill is cut away at the next start (it was never answered).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "spool/telemetry.h"
#include "util/error.h"

namespace twinspool::test {

class StandInRecords {
 public:
  static Result<StandInRecords> open(const std::string& path);
  StandInRecords(StandInRecords&& other) noexcept;
  ~StandInRecords();

  void add(const Telemetry& telemetry, const std::string& connection);  // kept in memory until flush()
  void flush();  // one write for all that was added since the last

  std::size_t size() const { return written_; }  // those in the file: who is told of one finds it there
  // Whole lines from record number `from` (the first is 0), about `bytes_max` at the most, at least one where there is
  // one.
  std::string lines(std::size_t from, std::size_t bytes_max) const;

 private:
  explicit StandInRecords(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
  std::string unwritten_;
  std::size_t written_ = 0;
  std::uint64_t written_bytes_ = 0;
  std::vector<std::uint64_t> ends_;  // of each line, those that are not written last
};

}  // namespace twinspool::test
