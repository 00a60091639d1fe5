#include "spool/names.h"

namespace twinspool {

Result<Names> Names::open(sqlite::Database& database, const std::string& table) {
  Names names;
  names.database_ = &database;
  auto find_number = database.prepare("SELECT number FROM " + table + " WHERE name = ?");
  if (!find_number) return tl::unexpected(find_number.error());
  auto find_name = database.prepare("SELECT name FROM " + table + " WHERE number = ?");
  if (!find_name) return tl::unexpected(find_name.error());
  auto insert = database.prepare("INSERT INTO " + table + "(name) VALUES(?)");
  if (!insert) return tl::unexpected(insert.error());
  names.find_number_ = std::move(*find_number);
  names.find_name_ = std::move(*find_name);
  names.insert_ = std::move(*insert);
  return names;
}

Result<std::uint32_t> Names::number_of(std::string_view name) {
  if (const auto known = numbers_.find(name); known != numbers_.end()) return known->second;
  const sqlite::ResetAtEnd ends(find_number_);
  const Result<bool> row = find_number_.bind(1, name).step();
  if (!row) return tl::unexpected(row.error());
  std::int64_t number = *row ? find_number_.integer(0) : 0;
  if (!*row) {
    if (Result<void> inserted = insert_.bind(1, name).run(); !inserted) return tl::unexpected(inserted.error());
    number = database_->last_insert_rowid();
  }
  remember(name, static_cast<std::uint32_t>(number));
  return static_cast<std::uint32_t>(number);
}

Result<const std::string*> Names::name_of(std::uint32_t number) {
  if (const auto known = names_.find(number); known != names_.end()) return known->second;
  const sqlite::ResetAtEnd ends(find_name_);
  const Result<bool> row = find_name_.bind(1, number).step();
  if (!row) return tl::unexpected(row.error());
  if (!*row) return nullptr;
  return remember(find_name_.text(0), number);
}

void Names::clear() {
  names_.clear();
  numbers_.clear();
}

const std::string* Names::remember(std::string_view name, std::uint32_t number) {
  if (numbers_.size() >= kNamesCachedMax) clear();
  // Where damage gives two numbers one name, both are answered by that name.
  const auto [at, added] = numbers_.try_emplace(std::string(name), number);
  names_[number] = &at->first;
  return &at->first;
}

}  // namespace twinspool
