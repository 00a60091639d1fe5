// Names ↔ small numbers, in a look-up table of the store: what rows carry instead of texts. One thread, as the
// Database.
//
// Look-ups are served from memory; the table's unique index is asked only for names that are not there, so it is not on
// the hot path. Bounded: when the cache is full it is emptied. What comes from the file is there twice, in the table
// and in its index; where they differ it is Errc::corrupt, and salvage tells by the rows' checksums which of them is
// right.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "spool/sqlite.h"

namespace twinspool {

constexpr std::size_t kNamesCachedMax = 65'536;

class Names {
 public:
  static Result<Names> open(sqlite::Database& database, const std::string& table);

  Result<std::uint32_t> number_of(std::string_view name);  // a new name gets a number, within the caller's transaction
  Result<const std::string*> name_of(std::uint32_t number);  // null: the file has no such number; until the next call
  void forget() { clear(); }                                 // after a rollback: some numbers were never given

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };
  void clear();
  Result<std::uint32_t> number_in_index(std::string_view name);
  Result<bool> is_in_index(std::uint32_t number);
  Result<std::string> name_in_table(std::uint32_t number);
  Error disagreement(std::uint32_t number) const;
  const std::string* remember(std::string_view name, std::uint32_t number);

  sqlite::Database* database_ = nullptr;
  std::string table_;
  sqlite::Statement find_number_;
  sqlite::Statement find_name_;
  sqlite::Statement find_in_index_;
  sqlite::Statement insert_;
  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> numbers_;
  std::unordered_map<std::uint32_t, const std::string*> names_;  // into the keys of numbers_
};

}  // namespace twinspool
