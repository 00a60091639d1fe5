#include "spool/rebuild.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "spool/schema.h"

namespace twinspool {
namespace {

constexpr std::size_t kRowsPerSlice = 4096;
constexpr std::size_t kBytesPerSlice = 4 << 20;

std::string text_of(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return std::to_string(std::get<std::int64_t>(value));
}

// What is read back must come from the disk, not from memory.
Result<void> drop_cache(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return tl::unexpected(errno_error("cannot read", path));
  const int failed = ::fsync(file);
  Error error = errno_error("cannot sync", path);
  (void)::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
  if (failed != 0) return tl::unexpected(std::move(error));
  return {};
}

}  // namespace

Result<std::unique_ptr<Rebuild>> Rebuild::begin(const StoreFiles& current) {
  auto tables = our_tables();
  if (!tables) return tl::unexpected(tables.error());
  const auto rank = [](const TableShape& table) {
    return table.name == "messages"    ? 2
           : RowChecker::checks(table) ? 1
                                       : 0;  // rows are checked with names copied before
  };
  std::stable_sort(tables->begin(), tables->end(),
                   [&](const TableShape& a, const TableShape& b) { return rank(a) < rank(b); });
  auto generation = Generation::begin(current);
  if (!generation) return tl::unexpected(generation.error());
  std::unique_ptr<Rebuild> rebuild(new Rebuild(std::move(*generation), std::move(*tables)));
  auto database = sqlite::Database::open(rebuild->generation_.files().database, sqlite::Database::Mode::read_write);
  if (!database) return tl::unexpected(database.error());
  // Half-built it is worth nothing, so neither a journal nor a sync before it is whole.
  Result<void> made = database->execute(
      "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
      "PRAGMA locking_mode = EXCLUSIVE");
  if (made) made = migrate(*database);
  if (!made) return tl::unexpected(made.error());
  rebuild->database_ = std::move(*database);
  rebuild->copied_.resize(rebuild->tables_.size());
  rebuild->read_back_.resize(rebuild->tables_.size());
  return rebuild;
}

void Rebuild::add(Count& count, const Row& row) {
  ++count.rows;
  std::string all;
  for (const Value& value : row.values) {
    const std::string text = text_of(value);
    all.append(std::to_string(text.size())).append(":").append(text);
  }
  count.digest = digester_.digest64({std::to_string(count.digest), all});
}

Result<bool> Rebuild::step(sqlite::Database& old) { return verifying_ ? verify() : copy(old); }

Result<bool> Rebuild::copy(sqlite::Database& old) {
  if (at_ == tables_.size()) {
    if (Result<void> synced = sync(); !synced) return tl::unexpected(synced.error());
    at_ = 0;
    verifying_ = true;
    return true;
  }
  const TableShape& table = tables_[at_];
  if (!reader_) {
    auto reader = TableReader::open(old, table);
    if (!reader) return tl::unexpected(reader.error());
    reader_ = std::move(*reader);
    auto insert = database_->prepare(insert_into(table));
    if (!insert) return tl::unexpected(insert.error());
    insert_ = std::move(*insert);
    if (RowChecker::checks(table) && !checker_) {
      auto checker = RowChecker::open(*database_);
      if (!checker) return tl::unexpected(checker.error());
      checker_ = std::move(*checker);
    }
  }
  const Result<std::vector<Row>> rows = reader_->next(kRowsPerSlice, kBytesPerSlice);
  if (!rows) return tl::unexpected(rows.error());
  auto transaction = sqlite::Transaction::begin(*database_);
  if (!transaction) return tl::unexpected(transaction.error());
  for (const Row& row : *rows) {
    bind_values(*insert_, row.values);
    if (Result<void> inserted = insert_->run(); !inserted) return tl::unexpected(inserted.error());
    add(copied_[at_], row);
    if (table.name != "messages") continue;
    const Result<bool> sound = checker_->sound(table, row);
    if (!sound) return tl::unexpected(sound.error());
    if (!*sound) ++report_.damaged;
  }
  if (Result<void> committed = transaction->commit(); !committed) return tl::unexpected(committed.error());
  report_.rows += rows->size();
  if (table.name == "messages") report_.messages += rows->size();
  if (!rows->empty()) return true;
  insert_.reset();
  reader_.reset();
  ++at_;
  return true;
}

Result<void> Rebuild::sync() {
  // By the descriptor that wrote: it hears of every page that did not reach the disk.
  Result<void> synced =
      database_->execute("PRAGMA synchronous = FULL; BEGIN IMMEDIATE; UPDATE figures SET one = one; COMMIT");
  if (!synced) return synced;
  insert_.reset();
  checker_.reset();
  database_.reset();
  if (Result<void> dropped = drop_cache(generation_.files().database); !dropped) return dropped;
  auto database = sqlite::Database::open(generation_.files().database, sqlite::Database::Mode::read_only);
  if (!database) return tl::unexpected(database.error());
  database_ = std::move(*database);
  return {};
}

Result<bool> Rebuild::verify() {
  if (at_ == tables_.size()) {
    reader_.reset();
    database_.reset();
    return false;
  }
  if (!reader_) {
    auto reader = TableReader::open(*database_, tables_[at_]);
    if (!reader) return tl::unexpected(reader.error());
    reader_ = std::move(*reader);
  }
  const Result<std::vector<Row>> rows = reader_->next(kRowsPerSlice, kBytesPerSlice);
  if (!rows) return tl::unexpected(rows.error());
  for (const Row& row : *rows) add(read_back_[at_], row);
  if (!rows->empty()) return true;
  if (read_back_[at_].rows != copied_[at_].rows || read_back_[at_].digest != copied_[at_].digest)
    return fail(Errc::storage, "the table " + tables_[at_].name + " reads back differently from " +
                                   generation_.files().database + ": the disk does not keep what is written");
  reader_.reset();
  ++at_;
  return true;
}

}  // namespace twinspool
