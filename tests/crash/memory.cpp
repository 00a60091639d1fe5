#include "crash/memory.h"

#include <sqlite3.h>

#include "util/error.h"

namespace twinspool::crash {
namespace {

sqlite3_mem_methods standard;
std::uint64_t made = 0;
std::uint64_t fails_at = UINT64_MAX;
bool fails_for_ever = false;
bool failed = false;

bool fails() {
  const std::uint64_t n = made++;
  const bool now = n == fails_at || (fails_for_ever && n > fails_at);
  failed = failed || now;
  return now;
}

void* allocate(int bytes) { return fails() ? nullptr : standard.xMalloc(bytes); }
void* reallocate(void* before, int bytes) { return fails() ? nullptr : standard.xRealloc(before, bytes); }

}  // namespace

void wrap_sqlite_memory() {
  ENSURE(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &standard) == SQLITE_OK);
  static sqlite3_mem_methods ours = standard;
  ours.xMalloc = allocate;
  ours.xRealloc = reallocate;
  ENSURE(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) == SQLITE_OK);
}

void fail_allocation(std::uint64_t n, bool for_ever) {
  made = 0;
  fails_at = n;
  fails_for_ever = for_ever;
  failed = false;
}
void fail_no_allocation() { fail_allocation(UINT64_MAX, false); }
std::uint64_t allocations() { return made; }
bool allocation_failed() { return failed; }

}  // namespace twinspool::crash
