#include "spool/salvage_import.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "spool/columns.h"
#include "spool/schema.h"
#include "spool/table_reader.h"
#include "util/log.h"

namespace twinspool {
namespace {

constexpr std::size_t kPagesPerSlice = 4096;  // surveyed: 16 MiB
constexpr std::size_t kLeavesPerSlice = 256;  // carried over: 1 MiB and what overflows it
constexpr const char* kMessages = "messages";
constexpr const char* kQuarantine = "quarantined_messages";
constexpr const char* kTrace = "trace";

std::string note_path(const StoreFiles& files) { return files.name + ".salvage"; }

std::int64_t integer(const TableShape& table, const Row& row, std::string_view column) {
  return std::get<std::int64_t>(row.values[table.column(column)]);
}

const TableShape& shape_of(const Salvage& salvage, std::string_view name) {
  const auto& tables = salvage.tables();
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const TableShape& t) { return t.name == name; });
  ENSURE(found != tables.end());
  return *found;
}

Result<void> prepare_if_needed(Store& store, std::optional<sqlite::Statement>& statement, const std::string& sql) {
  if (statement) return {};
  auto prepared = store.database().prepare(sql);
  if (!prepared) return tl::unexpected(prepared.error());
  statement = std::move(*prepared);
  return {};
}

// Whether the figures can be those of a store: its rows are not far ahead of them.
bool plausible(const TableShape& table, const Row& figures, Sequence newest) {
  const auto figure = [&](std::string_view column) { return integer(table, figures, column); };
  for (const Value& value : figures.values)
    if (const auto* number = std::get_if<std::int64_t>(&value); number != nullptr && *number < 0) return false;
  return figure("accepted") ==
             figure("queued_messages") + figure("delivered") + figure("quarantined") + figure("dropped") &&
         figure("expired") + figure("lost") <= figure("dropped") &&
         static_cast<Sequence>(figure("next_sequence")) + kFiguresLagMax > newest;
}

Result<void> copy_small_tables(sqlite::Database& database, Salvage& salvage) {
  for (std::size_t i = 0; i < salvage.tables().size(); ++i) {
    const TableShape& table = salvage.tables()[i];
    if (!Salvage::is_small(table.name) || table.name == "store" || table.name == "figures") continue;
    auto insert = database.prepare(insert_into(table, "INSERT OR IGNORE"));
    if (!insert) return tl::unexpected(insert.error());
    if (table.name == "twins" || table.name == "components") {
      for (const Salvage::Name& name : salvage.names(table.name)) {
        insert->bind(1, name.number).bind(2, std::string_view(name.name));
        if (Result<void> inserted = insert->run(); !inserted) return inserted;
      }
      continue;
    }
    for (Salvage::Cursor at = 0; const auto rows = salvage.rows(i, at); ++at) {
      for (const Row& row : *rows) {
        bind_values(*insert, row.values);
        if (Result<void> inserted = insert->run(); !inserted) return inserted;
      }
    }
  }
  return {};
}

bool is_key(const std::string& text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Row blank_row(const TableShape& table) {  // the one row of `store` or `figures`
  Row row{1, {}};
  for (const TableShape::Column& column : table.columns)
    row.values.push_back(column.is_text ? Value(std::string()) : Value(std::int64_t{0}));
  row.values[table.id_column.value()] = std::int64_t{1};
  return row;
}

// The identity of the damaged store, or at least the key that a running daemon still knows. False: neither.
Result<bool> copy_identity(sqlite::Database& database, Salvage& salvage, const Store* damaged) {
  const TableShape& table = shape_of(salvage, "store");
  const auto index = static_cast<std::size_t>(&table - salvage.tables().data());
  std::optional<Row> identity;
  for (Salvage::Cursor at = 0; const auto rows = salvage.rows(index, at); ++at)
    for (const Row& row : *rows)
      if (row.id == 1) identity = row;
  const std::size_t key_column = table.column("digest_key");
  if (identity && damaged != nullptr) identity->values[key_column] = hexadecimal(damaged->digest_key());
  if (!identity && damaged != nullptr) {
    identity = blank_row(table);
    identity->values[table.column("store_id")] = hexadecimal(random_digest_key());
    identity->values[key_column] = hexadecimal(damaged->digest_key());
  }
  if (!identity || !is_key(std::get<std::string>(identity->values[key_column]))) return false;
  auto insert = database.prepare(insert_into(table));
  if (!insert) return tl::unexpected(insert.error());
  bind_values(*insert, identity->values);
  if (Result<void> inserted = insert->run(); !inserted) return tl::unexpected(inserted.error());
  return true;
}

// Without figures every page is looked at, because new messages need higher sequences than any that was given.
Sequence newest_of_all(Salvage& salvage) {
  while (salvage.survey(kPagesPerSlice)) {
  }
  Sequence newest = 0;
  for (std::size_t i = 0; i < salvage.tables().size(); ++i) {
    const TableShape& table = salvage.tables()[i];
    if (table.name != kMessages && table.name != kQuarantine && table.name != kTrace) continue;
    for (Salvage::Cursor at = 0; const auto rows = salvage.rows(i, at); ++at) {
      for (const Row& row : *rows) {
        if (table.name == kMessages && !salvage.verified(table, row)) continue;
        const std::int64_t sequence = integer(table, row, "sequence");
        if (sequence > 0 && sequence < INT64_MAX / 2) newest = std::max(newest, static_cast<Sequence>(sequence));
      }
    }
  }
  return newest;
}

Row as_row(const TableShape& table, const Figures& figures) {
  Row row = blank_row(table);
  for (const auto& [column, figure] :
       {std::pair{"duplicates", figures.duplicates}, std::pair{"delivered", figures.delivered},
        std::pair{"quarantined", figures.quarantined}, std::pair{"dropped", figures.dropped},
        std::pair{"expired", figures.expired}, std::pair{"lost", figures.lost}, std::pair{"replayed", figures.replayed},
        std::pair{"retried", figures.retried}, std::pair{"kept_messages", figures.kept_messages},
        std::pair{"kept_bytes", figures.kept_bytes}})
    row.values[table.column(column)] = as_signed(figure);
  return row;
}

// Those of the process that had it open are right. In the file, as many messages as the lag may have been given since,
// on pages that are gone. Without both they begin anew.
Result<void> set_figures(sqlite::Database& database, Salvage& salvage, const Store* damaged, SalvageNote& note) {
  const TableShape& table = shape_of(salvage, "figures");
  std::optional<Row> figures = damaged != nullptr ? as_row(table, damaged->figures()) : salvage.figures();
  note.queued_known = damaged != nullptr || (figures && plausible(table, *figures, salvage.newest_at_a_glance()));
  if (damaged != nullptr) {
    note.next_sequence = note.figures_next = damaged->figures().next_sequence;
    note.queued = damaged->figures().queued_messages;
  } else if (note.queued_known) {
    note.figures_next = as_unsigned(integer(table, *figures, "next_sequence"));
    note.next_sequence = note.figures_next + kFiguresLagMax;
    note.queued = as_unsigned(integer(table, *figures, "queued_messages"));
  } else {
    note.next_sequence = newest_of_all(salvage) + 1;
    figures = as_row(table, {});
  }
  auto insert = database.prepare(insert_into(table));
  if (!insert) return tl::unexpected(insert.error());
  bind_values(*insert, figures->values);
  if (Result<void> inserted = insert->run(); !inserted) return inserted;
  return database.execute("UPDATE figures SET next_sequence = " + std::to_string(note.next_sequence) +
                          ", queued_messages = 0, queued_bytes = 0, quarantine_messages = 0, sources = '[]', "
                          "accepted = delivered + quarantined + dropped");
}

}  // namespace

Result<void> write_salvage_note(const StoreFiles& files, const SalvageNote& note) {
  return replace_file(note_path(files), note.database + "\n" + note.wal + "\n" + std::to_string(note.next_sequence) +
                                            "\n" + std::to_string(note.queued) + "\n" +
                                            (note.queued_known ? "1" : "0") + (note.digests_known ? "1" : "0") + "\n" +
                                            std::to_string(note.figures_next) + "\n");
}

std::optional<SalvageNote> read_salvage_note(const StoreFiles& files) {
  const Result<std::string> text = read_small_file(note_path(files));
  if (!text || text->empty()) return std::nullopt;
  std::vector<std::string> lines;
  for (std::size_t at = 0, end = 0; (end = text->find('\n', at)) != std::string::npos; at = end + 1)
    lines.push_back(text->substr(at, end - at));
  if (lines.size() < 5 || lines[4].size() != 2) return std::nullopt;
  SalvageNote note{lines[0], lines[1], 1, 0, 1, lines[4][0] == '1', lines[4][1] == '1'};
  std::from_chars(lines[2].data(), lines[2].data() + lines[2].size(), note.next_sequence);
  std::from_chars(lines[3].data(), lines[3].data() + lines[3].size(), note.queued);
  note.figures_next = note.next_sequence;
  if (lines.size() > 5) std::from_chars(lines[5].data(), lines[5].data() + lines[5].size(), note.figures_next);
  return note;
}

Result<void> remove_salvage_note(const StoreFiles& files) {
  ::unlink(note_path(files).c_str());
  return sync_directory(std::filesystem::path(files.name).parent_path());
}

Result<SalvageNote> begin_store(const std::string& path, Salvage& salvage, const Store* damaged) {
  auto database = sqlite::Database::open(path, sqlite::Database::Mode::read_write);
  if (!database) return tl::unexpected(database.error());
  SalvageNote note;
  Result<void> made =
      database->execute("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA synchronous = FULL");
  if (made) made = migrate(*database);
  if (!made) return tl::unexpected(made.error());
  auto transaction = sqlite::Transaction::begin(*database);
  if (!transaction) return tl::unexpected(transaction.error());
  const Result<bool> identified = copy_identity(*database, salvage, damaged);
  if (!identified) return tl::unexpected(identified.error());
  note.digests_known = *identified;
  made = copy_small_tables(*database, salvage);
  if (made) made = set_figures(*database, salvage, damaged, note);
  if (made) made = transaction->commit();
  if (!made) return tl::unexpected(made.error());
  return note;
}

SalvageImport::SalvageImport(std::unique_ptr<Salvage> salvage, SalvageNote note)
    : salvage_(std::move(salvage)), note_(std::move(note)), place_{0, 0, {}, {note_.queued, note_.figures_next}} {
  std::optional<std::size_t> messages;
  for (std::size_t i = 0; i < salvage_->tables().size(); ++i) {
    const std::string& name = salvage_->tables()[i].name;
    if (name == kMessages)
      messages = i;
    else if (!Salvage::is_small(name))
      order_.push_back(i);
  }
  order_.push_back(messages.value());
  place_.report.queued_known = note_.queued_known;
}

Result<void> SalvageImport::prepare(Store& store) {
  if (digester_) return {};
  LossCount losses = place_.losses;
  // By an earlier process.
  auto before = store.database().prepare("SELECT sequence FROM messages WHERE sequence < ?");
  if (!before) return tl::unexpected(before.error());
  before->bind(1, note_.next_sequence);
  for (;;) {
    const Result<bool> there = before->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) break;
    losses.found(as_unsigned(before->integer(0)), true);
  }
  place_.losses = before_.losses = losses;  // whatever becomes of this slice
  digester_.emplace(store.digest_key());
  return {};
}

Result<bool> SalvageImport::step(Store& store, const Moment& now) {
  before_ = place_;
  if (place_.table == order_.size()) return false;
  if (salvage_->survey(kPagesPerSlice)) return true;
  if (Result<void> prepared = prepare(store); !prepared) return tl::unexpected(prepared.error());
  for (std::size_t leaves = 0; leaves < kLeavesPerSlice; ++leaves) {
    const Result<bool> copied = copy_leaf(store, now);
    if (!copied) return copied;
    if (*copied) continue;
    insert_.reset();
    place_.cursor = 0;
    if (++place_.table < order_.size()) continue;
    quarantine_.reset();
    if (Result<void> finished = finish(store); !finished) return tl::unexpected(finished.error());
    return false;
  }
  return true;
}

void SalvageImport::undo() {
  place_ = before_;
  insert_.reset();
  quarantine_.reset();
}

Result<bool> SalvageImport::copy_leaf(Store& store, const Moment& now) {
  const auto rows = salvage_->rows(order_[place_.table], place_.cursor);
  if (!rows) return false;
  ++place_.cursor;
  if (Result<void> prepared = prepare_if_needed(store, insert_, insert_into(table(), "INSERT OR IGNORE")); !prepared)
    return tl::unexpected(prepared.error());
  for (const Row& row : *rows) {
    Result<void> copied = table().name == kMessages ? copy_message(store, row, now) : copy_other(store, row);
    if (!copied) return tl::unexpected(copied.error());
  }
  return true;
}

Result<void> SalvageImport::copy_other(Store& store, const Row& row) {
  Figures& figures = store.figures_to_set();
  if (table().name == kTrace) {
    const std::int64_t sequence = integer(table(), row, "sequence");
    if (sequence > 0) left_.add(static_cast<Sequence>(sequence));
    const std::string& outcome = std::get<std::string>(row.values[table().column("outcome")]);
    if (!note_.queued_known && outcome != to_string(Finished::How::quarantined)) {  // those are counted by their rows
      ++(outcome == to_string(Finished::How::delivered) ? figures.delivered : figures.dropped);
      if (outcome == to_string(Finished::How::expired)) ++figures.expired;
      ++figures.accepted;
    }
    if (!note_.digests_known) return {};  // the window could not compare with them
  }
  bind_values(*insert_, row.values);
  if (Result<void> inserted = insert_->run(); !inserted) return inserted;
  if (table().name != kQuarantine || store.database().changes() == 0) return {};
  ++figures.quarantine_messages;
  if (!note_.queued_known) {
    ++figures.quarantined;
    ++figures.accepted;
  }
  return {};
}

Result<void> SalvageImport::copy_message(Store& store, const Row& row, const Moment& now) {
  if (row.id <= 0 || left_.contains(static_cast<Sequence>(row.id))) return {};
  const auto telemetry = salvage_->verified(table(), row);
  if (!telemetry) return quarantine(store, row, now);
  if (static_cast<Sequence>(row.id) >= note_.next_sequence) {
    log::error("store.salvage_sequence", {{"sequence", row.id}, {"note", "given again already: not carried over"}});
    return {};
  }
  std::vector<Value> values = row.values;
  const Result<std::uint32_t> twin = store.twins().number_of(telemetry->twin);
  if (!twin) return tl::unexpected(twin.error());
  values[table().column("twin")] = std::int64_t{*twin};
  if (!telemetry->component.empty()) {
    const Result<std::uint32_t> component = store.components().number_of(telemetry->component);
    if (!component) return tl::unexpected(component.error());
    values[table().column("component")] = std::int64_t{*component};
  }
  if (!note_.digests_known)
    values[table().column("body_digest")] = static_cast<std::int64_t>(digester_->digest64({telemetry->body}));
  const std::size_t bytes = weight(*telemetry);
  values[table().column("bytes")] = static_cast<std::int64_t>(bytes);
  bind_values(*insert_, values);
  if (Result<void> inserted = insert_->run(); !inserted) return inserted;
  if (store.database().changes() == 0) return {};
  ++place_.report.messages;
  place_.losses.found(static_cast<Sequence>(row.id), true);
  Figures& figures = store.figures_to_set();
  ++figures.accepted;
  figures.queued(static_cast<SourceNumber>(integer(table(), row, "source")), bytes);
  return {};
}

// A row that cannot be believed is for people to look at.
Result<void> SalvageImport::quarantine(Store& store, const Row& row, const Moment& now) {
  if (static_cast<Sequence>(row.id) >= note_.next_sequence) return {};  // its sequence is what is damaged
  const TableShape& from = table();
  const TableShape& to = shape_of(*salvage_, kQuarantine);
  if (Result<void> prepared = prepare_if_needed(store, quarantine_, insert_into(to, "INSERT OR IGNORE")); !prepared)
    return prepared;
  std::vector<Value> values;
  for (const TableShape::Column& column : to.columns) {
    const auto same = std::find_if(from.columns.begin(), from.columns.end(),
                                   [&](const TableShape::Column& c) { return c.name == column.name; });
    if (same != from.columns.end())
      values.push_back(row.values[static_cast<std::size_t>(same - from.columns.begin())]);
    else if (column.name == "quarantined_ms")
      values.emplace_back(now.wall_ms);
    else if (column.name == "reason")
      values.emplace_back(std::string("checksum"));
    else if (column.name == "error_code")
      values.emplace_back(std::string("ChecksumMismatch"));
    else if (column.name == "error_message")
      values.emplace_back(std::string("the row was damaged on disk: its checksum does not match, so it was not sent"));
    else
      values.push_back(column.is_text ? Value(std::string()) : Value(std::int64_t{0}));
  }
  bind_values(*quarantine_, values);
  if (Result<void> inserted = quarantine_->run(); !inserted) return inserted;
  if (store.database().changes() == 0) return {};
  ++place_.report.quarantined;
  place_.losses.found(static_cast<Sequence>(row.id), false);
  Figures& figures = store.figures_to_set();
  ++figures.accepted;
  ++figures.quarantined;
  ++figures.quarantine_messages;
  return {};
}

std::uint64_t SalvageImport::still_to_come() const {
  return note_.queued_known ? std::max<std::uint64_t>(1, place_.losses.lost()) : 1;
}

Result<void> SalvageImport::finish(Store& store) {
  if (note_.queued_known) place_.report.lost = place_.losses.lost();
  place_.report.damaged_pages = salvage_->damaged_pages();
  Figures& figures = store.figures_to_set();
  figures.accepted += place_.report.lost;
  figures.dropped += place_.report.lost;
  figures.lost += place_.report.lost;
  return {};
}

}  // namespace twinspool
