// How a store is opened, of store.h: schema, settings read back, names, figures that match the rows.
#include <algorithm>
#include <charconv>

#include "spool/columns.h"
#include "spool/schema.h"
#include "spool/store.h"
#include "spool/store_sql.h"
#include "util/log.h"

namespace twinspool {
namespace {

std::optional<DigestKey> key_of(std::string_view text) {
  DigestKey key{};
  if (text.size() != 2 * key.size()) return std::nullopt;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const char* from = text.data() + 2 * i;
    if (std::from_chars(from, from + 2, key[i], 16).ptr != from + 2) return std::nullopt;
  }
  return key;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const std::string& path, bool is_new, const SpoolClocks& clocks) {
  Result<sqlite::Database> database = sqlite::Database::open(path, sqlite::Database::Mode::read_write);
  if (!database) return tl::unexpected(database.error());
  std::unique_ptr<Store> store(new Store(std::move(*database)));
  if (Result<void> ready = store->set_up(is_new, clocks); !ready)
    return fail(ready.error().code, path + ": " + ready.error().what);
  return store;
}

Result<void> Store::set_up(bool is_new, const SpoolClocks& clocks) {
  Result<void> set = database_.execute(
      "PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = OFF; "
      "PRAGMA locking_mode = NORMAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; "
      "PRAGMA journal_size_limit = 33554432");
  if (!set) return set;
  // A stop in between may have left a journal that takes it back to nothing.
  const Result<std::int64_t> pages = database_.integer("PRAGMA page_count");
  if (!pages) return tl::unexpected(pages.error());
  if (is_new || *pages == 0) {
    // The first page that is written names us: a file whose header does not is always an empty one.
    Result<void> shaped =
        database_.execute("PRAGMA page_size = 4096; BEGIN; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = " +
                          std::to_string(kApplicationId) + "; COMMIT");
    if (!shaped) return shaped;
  }
  database_.watch_wal();  // before the first commit: is_as_found() would not know of it
  if (Result<void> migrated = migrate(database_); !migrated) return migrated;
  Result<std::string> mode = database_.text("PRAGMA journal_mode = WAL");
  if (!mode) return tl::unexpected(mode.error());
  if (Result<void> verified = verify_settings(); !verified) return verified;
  return load(clocks);
}

Result<void> Store::verify_settings() {
  struct Setting {
    const char* name;
    const char* wanted;
  };
  const std::string application_id = std::to_string(kApplicationId);
  for (const auto& [name, wanted] :
       {Setting{"journal_mode", "wal"}, Setting{"synchronous", "2"}, Setting{"secure_delete", "0"},
        Setting{"mmap_size", "0"}, Setting{"application_id", application_id.c_str()}}) {
    const Result<std::string> found = database_.text(std::string("PRAGMA ") + name);
    if (!found) return tl::unexpected(found.error());
    if (*found != wanted)
      return fail(Errc::invalid, std::string("SQLite reports ") + name + " = " + *found + " where the queue needs " +
                                     wanted + " to keep what it acknowledges");
  }
  const Result<std::int64_t> vacuum = database_.integer("PRAGMA auto_vacuum");
  if (!vacuum) return tl::unexpected(vacuum.error());
  if (*vacuum != 2) return fail(Errc::corrupt, "the header is damaged: the file was made with auto_vacuum = 2");
  const Result<bool> powersafe = database_.powersafe_overwrite();
  if (!powersafe) return tl::unexpected(powersafe.error());
  if (*powersafe)
    return fail(Errc::invalid, "SQLite ignores psow=0, so a cut write could take an acknowledged message");
  return {};
}

Result<void> Store::load(const SpoolClocks& clocks) {
  auto twins = Names::open(database_, "twins");
  if (!twins) return tl::unexpected(twins.error());
  twins_ = std::move(*twins);
  auto components = Names::open(database_, "components");
  if (!components) return tl::unexpected(components.error());
  components_ = std::move(*components);
  auto sources = Names::open(database_, "source_names");
  if (!sources) return tl::unexpected(sources.error());
  sources_ = std::move(*sources);
  if (Result<void> prepared = prepare_statements(); !prepared) return prepared;

  if (Result<void> begun = begin(); !begun) return begun;
  Result<void> loaded = load_identity(clocks.wall_ms());
  if (loaded) loaded = load_boot(clocks);
  if (loaded) loaded = load_figures();
  if (loaded) loaded = commit();
  if (!loaded) rollback();
  return loaded;
}

Result<void> Store::prepare_statements() {
  struct Prepared {
    sqlite::Statement* statement;
    const char* text;
  };
  Statements& s = statements_;
  for (const auto& [statement, text] :
       {Prepared{&s.append_message, sql::append_message}, Prepared{&s.take_message, sql::take_message},
        Prepared{&s.delete_message, sql::delete_message}, Prepared{&s.quarantine_message, sql::quarantine_message},
        Prepared{&s.keep_message, sql::keep_message}, Prepared{&s.front_of_kept, sql::front_of_kept},
        Prepared{&s.trim_kept, sql::trim_kept}, Prepared{&s.append_trace, sql::append_trace},
        Prepared{&s.front_of_trace, sql::front_of_trace}, Prepared{&s.trim_trace, sql::trim_trace},
        Prepared{&s.newest_of_trace, sql::newest_of_trace}, Prepared{&s.put_note, sql::put_note},
        Prepared{&s.delete_note, sql::delete_note}, Prepared{&s.put_figures, sql::put_figures},
        Prepared{&s.read_messages, sql::read_messages}, Prepared{&s.front_messages, sql::front_messages}}) {
    Result<sqlite::Statement> prepared = database_.prepare(text);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  return {};
}

Result<void> Store::load_identity(std::int64_t wall_ms) {
  Result<std::string> key = database_.text("SELECT digest_key FROM store");
  if (!key) return tl::unexpected(key.error());
  if (key->empty()) {
    digest_key_ = random_digest_key();
    Result<sqlite::Statement> insert =
        database_.prepare("INSERT INTO store(one, store_id, digest_key, created_ms) VALUES(1, ?, ?, ?)");
    if (!insert) return tl::unexpected(insert.error());
    const std::string id = hexadecimal(random_digest_key());
    const std::string text = hexadecimal(digest_key_);
    return insert->bind(1, id).bind(2, text).bind(3, wall_ms).run();
  }
  const std::optional<DigestKey> known = key_of(*key);
  if (!known) return fail(Errc::corrupt, "the table store is damaged");
  digest_key_ = *known;
  return {};
}

Result<void> Store::load_boot(const SpoolClocks& clocks) {
  Result<sqlite::Statement> find = database_.prepare("SELECT number FROM boots WHERE boot_id = ?");
  if (!find) return tl::unexpected(find.error());
  const Result<bool> known = find->bind(1, clocks.boot_id).step();
  if (!known) return tl::unexpected(known.error());
  opened_ = Moment{clocks.wall_ms(), *known ? find->integer(0) : 0, clocks.uptime_ms(), clocks.synchronized()};
  find->reset();
  if (*known) return {};
  Result<sqlite::Statement> insert = database_.prepare("INSERT INTO boots(boot_id, first_started_ms) VALUES(?, ?)");
  if (!insert) return tl::unexpected(insert.error());
  Result<void> inserted = insert->bind(1, clocks.boot_id).bind(2, opened_.wall_ms).run();
  opened_.boot = database_.last_insert_rowid();
  return inserted;
}

Result<void> Store::load_figures() {
  Result<sqlite::Statement> get = database_.prepare(sql::get_figures);
  if (!get) return tl::unexpected(get.error());
  const Result<bool> there = get->step();
  if (!there) return tl::unexpected(there.error());
  if (!*there) {
    Result<void> made =
        database_.execute("INSERT INTO figures VALUES(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '[]')");
    persisted_ = figures_;
    return made ? check_figures() : made;
  }
  const auto figure = [&](int column) { return as_unsigned(get->integer(column)); };
  figures_ = Figures{figure(0), figure(1), figure(2),  figure(3),  figure(4),  figure(5),  figure(6),  figure(7),
                     figure(8), figure(9), figure(10), figure(11), figure(12), figure(13), figure(14), {}};
  // Text that is no JSON is damage, and check_figures() finds that the sources do not add up.
  (void)load_sources(sql::parse_sources, get->text(15));
  get->reset();
  persisted_ = figures_;
  if (Result<void> added = add_newest_rows(); !added) return added;
  return check_figures();
}

// Appended after the figures were written. They have numbers without a gap and none has left; where it is otherwise the
// figures do not come to the newest row, which check_figures() finds.
Result<void> Store::add_newest_rows() {
  Result<sqlite::Statement> row = database_.prepare(sql::newest_rows);
  if (!row) return tl::unexpected(row.error());
  row->bind(1, figures_.next_sequence).bind(2, kFiguresLagMax);
  for (std::uint64_t rows = 0; rows < kFiguresLagMax - 1; ++rows) {
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there || as_unsigned(row->integer(0)) != figures_.next_sequence) return {};
    const std::uint64_t bytes = std::min(as_unsigned(row->integer(2)), kRowBytesMax);
    figures_.appended(static_cast<SourceNumber>(row->integer(1)), bytes);
  }
  return {};
}

// What a look at both ends of the tables can tell. Figures and rows agree after every transaction, so this finds
// damage and foreign hands only; then, and only then, the rows are counted.
Result<void> Store::check_figures() {
  Sequence newest = 0;
  for (const char* table : {"messages", "quarantined_messages"}) {
    const Result<std::int64_t> found = database_.integer(std::string("SELECT max(sequence) FROM ") + table);
    if (!found) return tl::unexpected(found.error());
    newest = std::max(newest, as_unsigned(*found));
  }
  const Result<Front> oldest = this->oldest();
  if (!oldest) return tl::unexpected(oldest.error());
  const std::uint64_t span = oldest->sequence == 0 ? 0 : newest - oldest->sequence + 1;
  const bool counted = (oldest->sequence == 0) == (figures_.queued_messages == 0) && figures_.queued_messages <= span;
  const bool reconciled =
      figures_.accepted == figures_.queued_messages + figures_.delivered + figures_.quarantined + figures_.dropped;
  if (Result<void> kept = check_kept(); !kept) return kept;
  const bool adds_up = figures_.of_all_sources() == Waiting{figures_.queued_messages, figures_.queued_bytes};
  if (counted && reconciled && adds_up && figures_.next_sequence > newest) return {};

  // Rows that a damaged page hides are for salvage; where the file is sound, somebody else has written to it.
  const Result<std::string> sound = database_.text("PRAGMA quick_check(1)");
  if (!sound) return tl::unexpected(sound.error());
  if (*sound != "ok") return fail(Errc::corrupt, *sound);
  log::error("store.figures", {{"note", "they do not match the rows and are counted again"},
                               {"newest", newest},
                               {"next_sequence", figures_.next_sequence},
                               {"queued", figures_.queued_messages}});
  persist_figures();
  figures_.next_sequence = std::max(figures_.next_sequence, newest + 1);
  if (Result<void> counted_again = load_sources(sql::count_sources, {}); !counted_again) return counted_again;
  figures_.queued_messages = figures_.of_all_sources().messages;
  figures_.queued_bytes = figures_.of_all_sources().bytes;
  const Result<std::int64_t> set_aside = database_.integer("SELECT count(*) FROM quarantined_messages");
  if (!set_aside) return tl::unexpected(set_aside.error());
  figures_.quarantine_messages = as_unsigned(*set_aside);
  figures_.accepted = figures_.queued_messages + figures_.delivered + figures_.quarantined + figures_.dropped;
  return {};
}

// The same for what is kept: there are rows where the figure says so, or all are counted.
Result<void> Store::check_kept() {
  const Result<std::int64_t> any = database_.integer("SELECT 1 FROM kept_messages LIMIT 1");
  if (!any) return tl::unexpected(any.error());
  if ((*any == 1) == (figures_.kept_messages > 0)) return {};
  const Result<std::int64_t> messages = database_.integer("SELECT count(*) FROM kept_messages");
  if (!messages) return tl::unexpected(messages.error());
  const Result<std::int64_t> bytes = database_.integer("SELECT coalesce(sum(bytes), 0) FROM kept_messages");
  if (!bytes) return tl::unexpected(bytes.error());
  persist_figures();
  figures_.kept_messages = as_unsigned(*messages);
  figures_.kept_bytes = as_unsigned(*bytes);
  return {};
}

Result<void> Store::load_sources(const char* query, std::string_view figures) {
  Result<sqlite::Statement> row = database_.prepare(query);
  if (!row) return tl::unexpected(row.error());
  if (!figures.empty()) row->bind(1, figures);
  figures_.sources.clear();
  for (;;) {
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) return {};
    figures_.sources.push_back(
        {static_cast<SourceNumber>(row->integer(0)), {as_unsigned(row->integer(1)), as_unsigned(row->integer(2))}});
  }
}

}  // namespace twinspool
