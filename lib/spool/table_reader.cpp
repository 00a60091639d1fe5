#include "spool/table_reader.h"

namespace twinspool {

Result<TableReader> TableReader::open(sqlite::Database& database, const TableShape& table) {
  auto select = database.prepare(select_after(table));
  if (!select) return tl::unexpected(select.error());
  TableReader reader;
  reader.table_ = &table;
  reader.select_ = std::move(*select);
  return reader;
}

Result<std::vector<Row>> TableReader::next(std::size_t rows_max, std::size_t bytes_max) {
  std::vector<Row> rows;
  std::size_t bytes = 0;
  const sqlite::ResetAtEnd ends(select_);
  select_.bind(1, after_).bind(2, rows_max);
  while (bytes < bytes_max) {
    const Result<bool> there = select_.step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) break;
    Row row;
    for (std::size_t i = 0; i < table_->columns.size(); ++i) {
      if (table_->columns[i].is_text) {
        const std::string_view text = select_.text(static_cast<int>(i));
        bytes += text.size();
        row.values.emplace_back(std::string(text));
      } else {
        row.values.emplace_back(select_.integer(static_cast<int>(i)));
      }
    }
    row.id = std::get<std::int64_t>(row.values[*table_->id_column]);
    if (row.id <= after_)
      return fail(Errc::corrupt, "rows of the table " + table_->name + " are out of order: the file is damaged");
    after_ = row.id;
    rows.push_back(std::move(row));
  }
  return rows;
}

void bind_values(sqlite::Statement& statement, const std::vector<Value>& values) {
  int parameter = 1;
  for (const Value& value : values) {
    if (const auto* text = std::get_if<std::string>(&value))
      statement.bind(parameter++, std::string_view(*text));
    else
      statement.bind(parameter++, std::get<std::int64_t>(value));
  }
}

Result<RowChecker> RowChecker::open(sqlite::Database& database) {
  RowChecker checker;
  auto twins = Names::open(database, "twins");
  if (!twins) return tl::unexpected(twins.error());
  auto components = Names::open(database, "components");
  if (!components) return tl::unexpected(components.error());
  checker.twins_ = std::move(*twins);
  checker.components_ = std::move(*components);
  return checker;
}

Result<bool> RowChecker::sound(const TableShape& table, const Row& row) {
  const auto number = [&](std::string_view column) { return std::get<std::int64_t>(row.values[table.column(column)]); };
  const auto text = [&](std::string_view column) { return std::get<std::string>(row.values[table.column(column)]); };
  Telemetry telemetry{{},          {}, text("message_id"), text("source_time"), text("traceparent"), text("tracestate"),
                      text("body")};
  const std::int64_t twin = number("twin");
  const std::int64_t component = number("component");
  if (twin <= 0 || twin > UINT32_MAX || component < 0 || component > UINT32_MAX) return false;
  const Result<const std::string*> name = twins_.name_of(static_cast<std::uint32_t>(twin));
  if (!name) return tl::unexpected(name.error());
  if (*name == nullptr) return false;
  telemetry.twin = **name;
  if (component != 0) {
    const Result<const std::string*> part = components_.name_of(static_cast<std::uint32_t>(component));
    if (!part) return tl::unexpected(part.error());
    if (*part == nullptr) return false;
    telemetry.component = **part;
  }
  return checksum_.of(static_cast<Sequence>(row.id), telemetry) == number("checksum");
}

}  // namespace twinspool
