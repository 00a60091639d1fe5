// How columns of the store's tables become our types, for the units with SQL. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "spool/clocks.h"
#include "spool/sqlite.h"
#include "util/digest.h"

namespace twinspool {

// SQLite's integers are signed.
inline std::int64_t as_signed(std::uint64_t number) { return static_cast<std::int64_t>(number); }
inline std::uint64_t as_unsigned(std::int64_t number) { return static_cast<std::uint64_t>(number); }

// Of four columns from `first` on.
inline Moment moment_at(const sqlite::Statement& row, int first) {
  return Moment{row.integer(first), row.integer(first + 1), row.integer(first + 2), row.integer(first + 3) != 0};
}

// Keys and ids of the table store.
inline std::string hexadecimal(const DigestKey& key) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : key) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace twinspool
