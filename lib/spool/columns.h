// How columns of the store's tables become our types, for the units with SQL. Pure.
#pragma once

#include <cstdint>

#include "spool/clocks.h"
#include "spool/sqlite.h"

namespace twinspool {

// SQLite's integers are signed.
inline std::int64_t as_signed(std::uint64_t number) { return static_cast<std::int64_t>(number); }
inline std::uint64_t as_unsigned(std::int64_t number) { return static_cast<std::uint64_t>(number); }

// Of four columns from `first` on.
inline Moment moment_at(const sqlite::Statement& row, int first) {
  return Moment{row.integer(first), row.integer(first + 1), row.integer(first + 2), row.integer(first + 3) != 0};
}

}  // namespace twinspool
