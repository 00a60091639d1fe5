#include "spool/twin_names.h"

namespace twinspool {

Result<TwinNames> twin_names(sqlite::Database& database, const std::vector<TwinNumber>& twins) {
  Result<sqlite::Statement> row = database.prepare("SELECT name FROM twins WHERE number = ?");
  if (!row) return tl::unexpected(row.error());
  TwinNames names;
  for (const TwinNumber twin : twins) {
    const Result<bool> known = row->bind(1, static_cast<std::int64_t>(twin)).step();
    if (!known) return tl::unexpected(known.error());
    if (*known) names[twin] = row->text(0);
    row->reset();
  }
  return names;
}

}  // namespace twinspool
