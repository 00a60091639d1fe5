// Whether a store is sound. Reads only, also while a daemon uses it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "util/error.h"

namespace twinspool {

constexpr std::size_t kFindingsMax = 20;  // told one by one; the rest is counted

struct IntegrityReport {
  std::string database;               // what was looked at, links resolved
  std::vector<std::string> findings;  // what is wrong; empty: nothing was found
  std::uint64_t findings_more = 0;
  bool in_use = false;  // by a daemon: what changes meanwhile was not held against each other
  bool deep = false;
  std::uint64_t queued = 0, quarantined = 0;  // by the figures
  std::uint64_t rows_checked = 0;             // whose checksum was taken, deep only

  bool sound() const { return findings.empty(); }
};

using IntegrityProgress = std::function<void(std::uint64_t rows, std::uint64_t of_about)>;

// Quick: header, settings, schema, figures, the ends of the queue, and, where no daemon uses the store, the WAL. A few
// pages, whatever the size. Deep: SQLite's integrity_check, and the checksum of every row.
// An error is what kept it from looking at all.
Result<IntegrityReport> check_integrity(const std::string& path, bool deep, const IntegrityProgress& progress);

}  // namespace twinspool
