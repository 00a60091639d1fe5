#include "spool/names.h"

namespace twinspool {

Result<Names> Names::open(sqlite::Database& database, const std::string& table) {
  Names names;
  names.database_ = &database;
  names.table_ = table;
  auto find_number = database.prepare("SELECT number FROM " + table + " WHERE name = ?");
  if (!find_number) return tl::unexpected(find_number.error());
  auto find_name = database.prepare("SELECT name FROM " + table + " WHERE number = ?");
  if (!find_name) return tl::unexpected(find_name.error());
  // The order makes SQLite read the index, which has both, and not the table.
  auto find_in_index = database.prepare("SELECT 1 FROM " + table + " WHERE +number = ? ORDER BY name");
  if (!find_in_index) return tl::unexpected(find_in_index.error());
  auto insert = database.prepare("INSERT INTO " + table + "(name) VALUES(?)");
  if (!insert) return tl::unexpected(insert.error());
  names.find_number_ = std::move(*find_number);
  names.find_name_ = std::move(*find_name);
  names.find_in_index_ = std::move(*find_in_index);
  names.insert_ = std::move(*insert);
  return names;
}

Result<std::uint32_t> Names::number_of(std::string_view name) {
  if (const auto known = numbers_.find(name); known != numbers_.end()) return known->second;
  const Result<std::uint32_t> indexed = number_in_index(name);
  if (!indexed) return indexed;
  if (*indexed != 0) {
    const Result<std::string> stored = name_in_table(*indexed);
    if (!stored) return tl::unexpected(stored.error());
    if (*stored != name) return tl::unexpected(disagreement(*indexed));
    remember(name, *indexed);
    return indexed;
  }
  if (Result<void> inserted = insert_.bind(1, name).run(); !inserted) return tl::unexpected(inserted.error());
  const auto number = static_cast<std::uint32_t>(database_->last_insert_rowid());
  remember(name, number);
  return number;
}

Result<const std::string*> Names::name_of(std::uint32_t number) {
  if (const auto known = names_.find(number); known != names_.end()) return known->second;
  const Result<std::string> stored = name_in_table(number);
  if (!stored) return tl::unexpected(stored.error());
  if (stored->empty()) {
    const Result<bool> lost = is_in_index(number);
    if (!lost) return tl::unexpected(lost.error());
    if (*lost) return tl::unexpected(disagreement(number));
    return nullptr;
  }
  const Result<std::uint32_t> indexed = number_in_index(*stored);
  if (!indexed) return tl::unexpected(indexed.error());
  if (*indexed != number) return tl::unexpected(disagreement(number));
  return remember(*stored, number);
}

// 0: not there.
Result<std::uint32_t> Names::number_in_index(std::string_view name) {
  const sqlite::ResetAtEnd ends(find_number_);
  return find_number_.bind(1, name).step().map(
      [&](bool row) { return row ? static_cast<std::uint32_t>(find_number_.integer(0)) : 0; });
}

// Reads all of the index: only for a number that the table does not have.
Result<bool> Names::is_in_index(std::uint32_t number) {
  const sqlite::ResetAtEnd ends(find_in_index_);
  return find_in_index_.bind(1, number).step();
}

// Empty: not there.
Result<std::string> Names::name_in_table(std::uint32_t number) {
  const sqlite::ResetAtEnd ends(find_name_);
  return find_name_.bind(1, number).step().map([&](bool row) { return std::string(row ? find_name_.text(0) : ""); });
}

Error Names::disagreement(std::uint32_t number) const {
  return {Errc::corrupt, "the table " + table_ + " and its index disagree about number " + std::to_string(number)};
}

void Names::clear() {
  names_.clear();
  numbers_.clear();
}

const std::string* Names::remember(std::string_view name, std::uint32_t number) {
  if (numbers_.size() >= kNamesCachedMax) clear();
  const auto [at, added] = numbers_.try_emplace(std::string(name), number);
  names_[number] = &at->first;
  return &at->first;
}

}  // namespace twinspool
