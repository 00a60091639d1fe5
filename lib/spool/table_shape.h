// Our tables as the schema makes them: names, columns, and the pages where they begin. From a new database in memory,
// so a damaged file need not be asked what it holds. The pages are the same in every store: the schema is written at
// once, into an empty file, and an auto-vacuum file keeps its roots in front.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spool/btree_page.h"
#include "util/error.h"

namespace twinspool {

struct TableShape {
  struct Column {
    std::string name;
    bool is_text = false;  // else an integer
  };
  std::string name;
  std::vector<Column> columns;
  std::optional<std::size_t> id_column;  // the INTEGER PRIMARY KEY, stored as the row's id
  PageNumber root = 0;
  PageNumber name_index_root = 0;  // of UNIQUE(name), whose records are (name, id); 0: none

  std::size_t column(std::string_view wanted) const;  // must exist
  // Fills in the id; false where the row cannot be one of this table.
  bool fits(Row& row) const;
};

Result<std::vector<TableShape>> our_tables();

// SELECT and INSERT of all columns, in table order.
std::string select_after(const TableShape& table);  // parameters: an id, a number of rows; in order of id
std::string insert_into(const TableShape& table, std::string_view how = "INSERT");

}  // namespace twinspool
