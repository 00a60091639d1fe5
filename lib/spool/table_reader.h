// The rows of a table by SQLite, in slices and in order of their ids, and whether their checksums are right. For what
// copies or checks whole stores.
#pragma once

#include <vector>

#include "spool/names.h"
#include "spool/row_checksum.h"
#include "spool/sqlite.h"
#include "spool/table_shape.h"

namespace twinspool {

class TableReader {
 public:
  static Result<TableReader> open(sqlite::Database& database, const TableShape& table);

  // The next rows, none at the end: at most `rows`, and no more once they have reached `bytes`.
  Result<std::vector<Row>> next(std::size_t rows, std::size_t bytes);

 private:
  const TableShape* table_ = nullptr;
  sqlite::Statement select_;
  std::int64_t after_ = INT64_MIN;
};

void bind_values(sqlite::Statement& statement, const std::vector<Value>& values);

// Of messages or quarantined_messages, with the names that stand in the same file.
class RowChecker {
 public:
  static Result<RowChecker> open(sqlite::Database& database);
  static bool checks(const TableShape& table) {
    return table.name == "messages" || table.name == "quarantined_messages";
  }
  Result<bool> sound(const TableShape& table, const Row& row);

 private:
  Names twins_, components_;
  RowChecksum checksum_;
};

}  // namespace twinspool
