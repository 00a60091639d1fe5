// SQLite's memory, which runs out when a test says so.
#pragma once

#include <cstdint>

namespace twinspool::crash {

void wrap_sqlite_memory();  // once, before SQLite is used

// From now on the n-th allocation fails, from 0; and all behind it, if `for_ever`.
void fail_allocation(std::uint64_t n, bool for_ever);
void fail_no_allocation();
std::uint64_t allocations();  // since fail_allocation() or fail_no_allocation()
bool allocation_failed();     // since then

}  // namespace twinspool::crash
