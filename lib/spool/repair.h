// A store repaired by hand, while no daemon uses it: what is still there, and a new file made of it. The old one is
// kept.
#pragma once

#include <cstdint>
#include <string>

#include "util/error.h"

namespace twinspool {

struct RepairReport {
  std::string database;        // what was read
  std::uint64_t messages = 0;  // that can be, or were, carried over
  std::uint64_t damaged = 0;   // whose checksum does not match: to the quarantine
  std::uint64_t lost = 0;      // said to be queued, and not found; where lost_known
  bool lost_known = false;
  std::uint64_t damaged_pages = 0;
  std::string kept_as;  // the old file, after apply

  bool whole() const { return damaged == 0 && lost_known && lost == 0; }
};

// Reads only. Errc::busy while a daemon uses the store, as for apply.
Result<RepairReport> plan_repair(const std::string& path);
Result<RepairReport> apply_repair(const std::string& path);

}  // namespace twinspool
