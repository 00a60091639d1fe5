#include "spool/table_shape.h"

#include <algorithm>

#include "spool/schema.h"
#include "spool/sqlite.h"

namespace twinspool {
namespace {

Result<void> describe(sqlite::Database& database, TableShape& table) {
  auto column = database.prepare("SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid");
  if (!column) return tl::unexpected(column.error());
  column->bind(1, table.name);
  for (;;) {
    const Result<bool> there = column->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) break;
    if (column->integer(2) != 0) table.id_column = table.columns.size();
    table.columns.push_back({std::string(column->text(0)), column->text(1) == "TEXT"});
  }
  auto index = database.prepare("SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?");
  if (!index) return tl::unexpected(index.error());
  const Result<bool> there = index->bind(1, table.name).step();
  if (!there) return tl::unexpected(there.error());
  const bool named =
      std::any_of(table.columns.begin(), table.columns.end(), [](const auto& c) { return c.name == "name"; });
  if (*there && named) table.name_index_root = static_cast<PageNumber>(index->integer(0));
  return {};
}

std::string column_list(const TableShape& table) {
  std::string list;
  for (const TableShape::Column& column : table.columns) list += (list.empty() ? "" : ", ") + column.name;
  return list;
}

}  // namespace

std::size_t TableShape::column(std::string_view wanted) const {
  const auto found =
      std::find_if(columns.begin(), columns.end(), [&](const auto& column) { return column.name == wanted; });
  ENSURE(found != columns.end());
  return static_cast<std::size_t>(found - columns.begin());
}

bool TableShape::fits(Row& row) const {
  if (row.values.size() != columns.size()) return false;
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (std::holds_alternative<std::string>(row.values[i]) != columns[i].is_text) return false;
  if (id_column) row.values[*id_column] = row.id;
  return true;
}

Result<std::vector<TableShape>> our_tables() {
  auto database = sqlite::Database::open(":memory:", sqlite::Database::Mode::read_write);
  if (!database) return tl::unexpected(database.error());
  Result<void> made = database->execute("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL");
  if (made) made = migrate(*database);
  if (!made) return tl::unexpected(made.error());
  auto table = database->prepare("SELECT name, rootpage FROM sqlite_schema WHERE type = 'table' ORDER BY rowid");
  if (!table) return tl::unexpected(table.error());
  std::vector<TableShape> tables;
  for (;;) {
    const Result<bool> there = table->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) return tables;
    if (table->text(0).starts_with("sqlite_")) continue;
    TableShape shape;
    shape.name = table->text(0);
    shape.root = static_cast<PageNumber>(table->integer(1));
    if (Result<void> described = describe(*database, shape); !described) return tl::unexpected(described.error());
    tables.push_back(std::move(shape));
  }
}

std::string select_after(const TableShape& table) {
  const std::string& id = table.columns.at(table.id_column.value()).name;
  return "SELECT " + column_list(table) + " FROM " + table.name + " WHERE " + id + " > ? ORDER BY " + id + " LIMIT ?";
}

std::string insert_into(const TableShape& table, std::string_view how) {
  std::string parameters = "?";
  for (std::size_t i = 1; i < table.columns.size(); ++i) parameters += ", ?";
  return std::string(how) + " INTO " + table.name + "(" + column_list(table) + ") VALUES(" + parameters + ")";
}

}  // namespace twinspool
