#include "spool/store.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "spool/page_file.h"
#include "spool/schema.h"
#include "spool/store_sql.h"
#include "util/log.h"

namespace twinspool {

namespace {

constexpr std::uint64_t kTraceRowsMax = 1'000'000;  // as many as the deduplication window can hold

enum Columns : int { kSequence, kTwin, kComponent, kAcceptedMs, kChecksum, kMessageId };  // of sql::read_messages

std::int64_t as_signed(std::uint64_t number) { return static_cast<std::int64_t>(number); }
std::uint64_t as_unsigned(std::int64_t number) { return static_cast<std::uint64_t>(number); }

std::string hexadecimal(const DigestKey& key) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : key) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::optional<DigestKey> key_of(std::string_view text) {
  DigestKey key{};
  if (text.size() != 2 * key.size()) return std::nullopt;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const char* from = text.data() + 2 * i;
    if (std::from_chars(from, from + 2, key[i], 16).ptr != from + 2) return std::nullopt;
  }
  return key;
}

std::string_view capped(std::string_view text) {
  if (text.size() <= kErrorTextBytesMax) return text;
  std::size_t end = kErrorTextBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not within a UTF-8 character
  return text.substr(0, end);
}

std::string text_of(const std::vector<SourceFigures>& sources) {
  std::string text = "[";
  for (const SourceFigures& one : sources) {
    text += text.size() == 1 ? "[" : ",[";
    text += std::to_string(one.source) + "," + std::to_string(one.queued.messages) + "," +
            std::to_string(one.queued.bytes) + "]";
  }
  return text + "]";
}

Moment moment_at(const sqlite::Statement& row, int column) {
  return Moment{row.integer(column), row.integer(column + 1), row.integer(column + 2), row.integer(column + 3) != 0};
}

}  // namespace

Waiting Figures::waiting(SourceNumber source) const {
  const auto found =
      std::find_if(sources.begin(), sources.end(), [&](const auto& one) { return one.source == source; });
  return found == sources.end() ? Waiting{} : found->queued;
}

void Figures::queued(SourceNumber source, std::uint64_t bytes) {
  ++queued_messages;
  queued_bytes += bytes;
  for (SourceFigures& one : sources) {
    if (one.source != source) continue;
    ++one.queued.messages;
    one.queued.bytes += bytes;
    return;
  }
  sources.push_back({source, {1, bytes}});
}

// A damaged row may claim any weight and any source. Nothing goes below zero for it, an empty queue weighs nothing, and
// where the sources do not add up for it any more they are counted again at the next start.
void Figures::left_queue(SourceNumber source, std::uint64_t bytes) {
  --queued_messages;
  const auto one =
      std::find_if(sources.begin(), sources.end(), [&](const auto& each) { return each.source == source; });
  if (one != sources.end()) {
    bytes = one->queued.messages == 1 ? one->queued.bytes : std::min(bytes, one->queued.bytes);
    one->queued.bytes -= bytes;
    if (--one->queued.messages == 0) sources.erase(one);
  }
  queued_bytes -= std::min(bytes, queued_bytes);
  if (queued_messages > 0) return;
  queued_bytes = 0;
  sources.clear();
}

std::string_view to_string(Finished::How how) {
  switch (how) {
    case Finished::How::delivered:
      return "delivered";
    case Finished::How::quarantined:
      return "quarantined";
    case Finished::How::expired:
      return "expired";
    case Finished::How::dropped:
      return "dropped";
  }
  return "unknown";
}

Store::Store(sqlite::Database database) : database_(std::move(database)) {}

Result<std::unique_ptr<Store>> Store::open(const std::string& path, bool is_new, const SpoolClocks& clocks) {
  Result<sqlite::Database> database = sqlite::Database::open(path, sqlite::Database::Mode::read_write);
  if (!database) return tl::unexpected(database.error());
  std::unique_ptr<Store> store(new Store(std::move(*database)));
  if (Result<void> ready = store->set_up(is_new, clocks); !ready)
    return fail(ready.error().code, path + ": " + ready.error().what);
  return store;
}

Result<void> Store::set_up(bool is_new, const SpoolClocks& clocks) {
  if (is_new) {
    // The schema is written before the WAL mode: a file whose header does not name us yet is always an empty one.
    Result<void> shaped = database_.execute("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL");
    if (!shaped) return shaped;
  }
  Result<void> set = database_.execute(
      "PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = OFF; "
      "PRAGMA locking_mode = NORMAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; "
      "PRAGMA journal_size_limit = 33554432");
  if (!set) return set;
  if (Result<void> migrated = migrate(database_); !migrated) return migrated;
  Result<std::string> mode = database_.text("PRAGMA journal_mode = WAL");
  if (!mode) return tl::unexpected(mode.error());
  database_.watch_wal();
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
    return made ? check_figures() : made;
  }
  const auto figure = [&](int column) { return as_unsigned(get->integer(column)); };
  figures_ = Figures{figure(0), figure(1), figure(2),  figure(3),  figure(4),  figure(5),  figure(6),  figure(7),
                     figure(8), figure(9), figure(10), figure(11), figure(12), figure(13), figure(14), {}};
  // Text that is no JSON is damage, and check_figures() finds that the sources do not add up.
  (void)load_sources(sql::parse_sources, get->text(15));
  get->reset();
  return check_figures();
}

// What a look at both ends of the tables can tell. Figures and rows are written by the same transactions, so this finds
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
  Waiting of_sources;
  for (const SourceFigures& one : figures_.sources) {
    of_sources.messages += one.queued.messages;
    of_sources.bytes += one.queued.bytes;
  }
  const bool adds_up = of_sources == Waiting{figures_.queued_messages, figures_.queued_bytes};
  if (counted && reconciled && adds_up && figures_.next_sequence > newest) return {};

  // Rows that a damaged page hides are for salvage; where the file is sound, somebody else has written to it.
  const Result<std::string> sound = database_.text("PRAGMA quick_check(1)");
  if (!sound) return tl::unexpected(sound.error());
  if (*sound != "ok") return fail(Errc::corrupt, *sound);
  log::error("store.figures", {{"note", "they do not match the rows and are counted again"},
                               {"newest", newest},
                               {"next_sequence", figures_.next_sequence},
                               {"queued", figures_.queued_messages}});
  figures_.next_sequence = std::max(figures_.next_sequence, newest + 1);
  figures_.queued_messages = figures_.queued_bytes = 0;
  if (Result<void> counted_again = load_sources(sql::count_sources, {}); !counted_again) return counted_again;
  for (const SourceFigures& one : figures_.sources) {
    figures_.queued_messages += one.queued.messages;
    figures_.queued_bytes += one.queued.bytes;
  }
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

Result<SourceNumber> Store::number_of_source(const std::string& name) { return sources_.number_of(name); }

Result<void> Store::begin() {
  ENSURE(!transaction_);
  committed_ = figures_;
  Result<sqlite::Transaction> begun = sqlite::Transaction::begin(database_);
  if (!begun) return tl::unexpected(begun.error());
  transaction_.emplace(std::move(*begun));
  return {};
}

Result<void> Store::commit() {
  ENSURE(transaction_);
  if (Result<void> written = write_figures(); !written) return written;
  Result<void> committed = transaction_->commit();
  if (committed) transaction_.reset();
  return committed;
}

void Store::rollback() {
  if (!transaction_) return;
  transaction_.reset();
  figures_ = committed_;
  twins_.forget();
  components_.forget();
  sources_.forget();
}

Result<void> Store::write_figures() {
  const Figures& f = figures_;
  return statements_.put_figures.bind(1, f.next_sequence)
      .bind(2, f.queued_messages)
      .bind(3, f.queued_bytes)
      .bind(4, f.accepted)
      .bind(5, f.duplicates)
      .bind(6, f.delivered)
      .bind(7, f.quarantined)
      .bind(8, f.dropped)
      .bind(9, f.expired)
      .bind(10, f.lost)
      .bind(11, f.quarantine_messages)
      .bind(12, f.replayed)
      .bind(13, f.retried)
      .bind(14, f.kept_messages)
      .bind(15, f.kept_bytes)
      .bind(16, text_of(f.sources))
      .run();
}

Result<void> Store::append(const Telemetry& telemetry, const Arrival& arrival, Message& message) {
  const Result<std::uint32_t> twin = twins_.number_of(telemetry.twin);
  if (!twin) return tl::unexpected(twin.error());
  std::uint32_t component = 0;
  if (!telemetry.component.empty()) {
    const Result<std::uint32_t> number = components_.number_of(telemetry.component);
    if (!number) return tl::unexpected(number.error());
    component = *number;
  }
  const Sequence sequence = figures_.next_sequence;
  const std::size_t bytes = weight(telemetry);
  const Moment& at = arrival.at;
  Result<void> inserted = statements_.append_message.bind(1, sequence)
                              .bind(2, *twin)
                              .bind(3, component)
                              .bind(4, arrival.source)
                              .bind(5, at.wall_ms)
                              .bind(6, at.boot)
                              .bind(7, at.uptime_ms)
                              .bind(8, at.clock_synced)
                              .bind(9, bytes)
                              .bind(10, as_signed(arrival.body_digest))
                              .bind(11, checksum_.of(sequence, telemetry))
                              .bind(12, arrival.replay_of)
                              .bind(13, arrival.retry_of)
                              .bind(14, telemetry.message_id)
                              .bind(15, telemetry.source_time)
                              .bind(16, telemetry.traceparent)
                              .bind(17, telemetry.tracestate)
                              .bind(18, telemetry.body)
                              .run();
  if (!inserted) return inserted;
  ++figures_.next_sequence;
  ++figures_.accepted;
  if (arrival.retry_of != 0)
    ++figures_.retried;
  else if (arrival.replay_of != 0)
    ++figures_.replayed;
  figures_.queued(arrival.source, bytes);
  message.sequence = sequence;
  message.twin = *twin;
  message.accepted_ms = at.wall_ms;
  return {};
}

Result<bool> Store::remove(const Departure& departure) {
  const Finished& finished = departure.finished;
  const bool quarantined = finished.how == Finished::How::quarantined;
  sqlite::Statement& row = statements_.take_message;
  const sqlite::ResetAtEnd ends(row);
  const Result<bool> there = row.bind(1, finished.sequence).step();
  if (!there || !*there) return there;
  const std::uint64_t bytes = as_unsigned(row.integer(6));
  const auto source = static_cast<SourceNumber>(row.integer(9));
  const bool keep = departure.keep && finished.how == Finished::How::delivered && row.integer(10) == 0;

  Result<void> done = statements_.append_trace.bind(1, finished.sequence)
                          .bind(2, row.integer(0))
                          .bind(3, row.integer(1))
                          .bind(4, row.integer(2))
                          .bind(5, row.integer(3))
                          .bind(6, row.integer(4))
                          .bind(7, row.integer(5))
                          .bind(8, row.integer(7))
                          .bind(9, departure.at.wall_ms)
                          .bind(10, departure.at.boot)
                          .bind(11, departure.at.uptime_ms)
                          .bind(12, departure.at.clock_synced)
                          .bind(13, to_string(finished.how))
                          .bind(14, finished.status)
                          .bind(15, row.integer(10))
                          .bind(16, row.integer(11))
                          .bind(17, row.text(8))
                          .run();
  row.reset();  // the row goes now
  if (done && quarantined)
    done = statements_.quarantine_message.bind(1, finished.sequence)
               .bind(2, departure.at.wall_ms)
               .bind(3, finished.status)
               .bind(4, finished.attempts)
               .bind(5, departure.reason)
               .bind(6, capped(finished.error_code))
               .bind(7, capped(finished.error_message))
               .run();
  if (done && keep) done = this->keep(departure, bytes);
  if (done) done = statements_.delete_message.bind(1, finished.sequence).run();
  if (!done) return tl::unexpected(done.error());

  switch (finished.how) {
    case Finished::How::delivered:
      ++figures_.delivered;
      break;
    case Finished::How::quarantined:
      ++figures_.quarantined;
      ++figures_.quarantine_messages;
      break;
    case Finished::How::expired:
      ++figures_.expired;
      ++figures_.dropped;
      break;
    case Finished::How::dropped:
      ++figures_.dropped;
      break;
  }
  figures_.left_queue(source, bytes);
  return true;
}

Result<void> Store::trim_trace(std::int64_t keep_ms, const Moment& now, std::size_t rows_max) {
  const Result<bool> any = statements_.newest_of_trace.step();
  if (!any) return tl::unexpected(any.error());
  const std::uint64_t newest = as_unsigned(statements_.newest_of_trace.integer(0));
  statements_.newest_of_trace.reset();

  sqlite::Statement& row = statements_.front_of_trace;
  row.bind(1, rows_max);
  std::int64_t last = 0;
  {
    const sqlite::ResetAtEnd ends(row);
    for (;;) {
      const Result<bool> there = row.step();
      if (!there) return tl::unexpected(there.error());
      if (!*there) break;
      const bool too_many = as_unsigned(row.integer(0)) + kTraceRowsMax <= newest;
      if (!too_many && age_ms(moment_at(row, 1), now, opened_) <= keep_ms) break;
      last = row.integer(0);
    }
  }
  if (last == 0) return {};
  return statements_.trim_trace.bind(1, last).run();
}

Result<void> Store::keep(const Departure& departure, std::uint64_t bytes) {
  const Moment& at = departure.at;
  Result<void> kept = statements_.keep_message.bind(1, departure.finished.sequence)
                          .bind(2, at.wall_ms)
                          .bind(3, at.boot)
                          .bind(4, at.uptime_ms)
                          .bind(5, at.clock_synced)
                          .bind(6, departure.finished.status)
                          .run();
  if (!kept) return kept;
  ++figures_.kept_messages;
  figures_.kept_bytes += bytes;
  return {};
}

Result<bool> Store::trim_kept(std::int64_t keep_ms, std::uint64_t bytes_max, const Moment& now, std::size_t rows_max) {
  if (figures_.kept_messages == 0) return false;
  sqlite::Statement& row = statements_.front_of_kept;
  row.bind(1, rows_max);
  std::int64_t last = 0;
  std::size_t rows = 0;
  std::uint64_t bytes = 0;
  {
    const sqlite::ResetAtEnd ends(row);
    for (;;) {
      const Result<bool> there = row.step();
      if (!there) return tl::unexpected(there.error());
      if (!*there) break;
      const bool too_many = figures_.kept_bytes - std::min(bytes, figures_.kept_bytes) > bytes_max;
      if (!too_many && age_ms(moment_at(row, 1), now, opened_) <= keep_ms) break;
      last = row.integer(0);
      bytes += as_unsigned(row.integer(5));
      ++rows;
    }
  }
  if (rows == 0) return false;
  if (Result<void> trimmed = statements_.trim_kept.bind(1, last).run(); !trimmed)
    return tl::unexpected(trimmed.error());
  figures_.kept_messages -= std::min<std::uint64_t>(rows, figures_.kept_messages);
  figures_.kept_bytes = figures_.kept_messages == 0 ? 0 : figures_.kept_bytes - std::min(bytes, figures_.kept_bytes);
  return rows == rows_max;
}

Result<void> Store::note(const LaneNote& note) {
  if (note.state.empty()) return statements_.delete_note.bind(1, note.twin).run();
  return statements_.put_note.bind(1, note.twin)
      .bind(2, note.state)
      .bind(3, note.since_ms)
      .bind(4, note.retry_at_ms)
      .bind(5, note.status)
      .bind(6, capped(note.error_code))
      .run();
}

Result<void> Store::read(const ReadRequest& request, const SequenceSet& leaving, ReadResult& result,
                         std::vector<Sequence>& damaged) {
  constexpr std::uint64_t kMax = INT64_MAX;
  sqlite::Statement& row = statements_.read_messages;
  const sqlite::ResetAtEnd ends(row);
  row.bind(1, std::min(request.after, kMax)).bind(2, std::min(request.through, kMax));
  result.scanned_through = request.after;
  std::size_t bytes = 0;
  for (std::size_t rows = 0; rows < request.rows_scanned_max; ++rows) {
    if (result.messages.size() >= request.messages_max || bytes >= request.bytes_max) return {};
    const Result<bool> there = row.step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) {
      const Sequence newest = figures_.next_sequence - 1;
      result.scanned_through = std::max(request.after, std::min(request.through, newest));
      result.reached_end = true;
      return {};
    }
    const Sequence sequence = as_unsigned(row.integer(kSequence));
    if (sequence <= result.scanned_through)
      return fail(Errc::corrupt, "rows of the queue are out of order: the file is damaged");
    result.scanned_through = sequence;
    const auto twin = static_cast<TwinNumber>(row.integer(kTwin));
    if (!request.only.empty() && !std::binary_search(request.only.begin(), request.only.end(), twin)) continue;
    if (leaving.contains(sequence)) continue;
    Message message;
    const Result<bool> sound = decode(row, message);
    if (!sound) return tl::unexpected(sound.error());
    if (!*sound) {
      damaged.push_back(sequence);
      continue;
    }
    bytes += weight(message.telemetry);
    result.messages.push_back(std::move(message));
  }
  return {};
}

Result<bool> Store::decode(const sqlite::Statement& row, Message& message, int first) {
  message.sequence = as_unsigned(row.integer(first + kSequence));
  message.accepted_ms = row.integer(first + kAcceptedMs);
  const std::int64_t twin = row.integer(first + kTwin);
  const std::int64_t component = row.integer(first + kComponent);
  if (twin <= 0 || twin > UINT32_MAX || component < 0 || component > UINT32_MAX) return false;
  message.twin = static_cast<TwinNumber>(twin);

  Telemetry& telemetry = message.telemetry;
  const Result<const std::string*> name = twins_.name_of(message.twin);
  if (!name) return tl::unexpected(name.error());
  if (*name == nullptr) return false;
  telemetry.twin = **name;
  if (component != 0) {
    const Result<const std::string*> part = components_.name_of(static_cast<std::uint32_t>(component));
    if (!part) return tl::unexpected(part.error());
    if (*part == nullptr) return false;
    telemetry.component = **part;
  }
  telemetry.message_id = row.text(first + kMessageId);
  telemetry.source_time = row.text(first + kMessageId + 1);
  telemetry.traceparent = row.text(first + kMessageId + 2);
  telemetry.tracestate = row.text(first + kMessageId + 3);
  telemetry.body = row.text(first + kMessageId + 4);
  return checksum_.of(message.sequence, telemetry) == row.integer(first + kChecksum);
}

Result<std::vector<Store::Front>> Store::front(Sequence after, std::size_t rows_max) {
  sqlite::Statement& row = statements_.front_messages;
  const sqlite::ResetAtEnd ends(row);
  row.bind(1, after).bind(2, rows_max);
  std::vector<Front> rows;
  for (;;) {
    const Result<bool> there = row.step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) return rows;
    rows.push_back({as_unsigned(row.integer(0)), as_unsigned(row.integer(1)), moment_at(row, 2)});
  }
}

Result<Store::Front> Store::oldest() {
  Result<std::vector<Front>> row = front(0, 1);
  if (!row) return tl::unexpected(row.error());
  return row->empty() ? Front{} : row->front();
}

Result<std::vector<LaneNote>> Store::lane_notes() {
  Result<sqlite::Statement> row = database_.prepare(sql::get_notes);
  if (!row) return tl::unexpected(row.error());
  std::vector<LaneNote> notes;
  for (;;) {
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) return notes;
    notes.push_back(LaneNote{static_cast<TwinNumber>(row->integer(0)), std::string(row->text(1)), row->integer(2),
                             row->integer(3), static_cast<int>(row->integer(4)), std::string(row->text(5))});
  }
}

Result<void> Store::visit_queued(Sequence after, const Visit& visit) {
  return this->visit(sql::newest_queued, as_signed(after), visit);
}

Result<void> Store::visit_left(std::int64_t after_n, const Visit& visit) {
  return this->visit(sql::newest_left, after_n, visit);
}

Result<void> Store::visit(const char* query, std::int64_t after, const Visit& visit) {
  Result<sqlite::Statement> row = database_.prepare(query);
  if (!row) return tl::unexpected(row.error());
  row->bind(1, after);
  std::string twin;
  std::string component;
  for (;;) {
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) return {};
    const Result<const std::string*> name = twins_.name_of(static_cast<std::uint32_t>(row->integer(0)));
    if (!name) return tl::unexpected(name.error());
    if (*name == nullptr) continue;  // damaged: reading it for delivery will say so
    twin = **name;
    component.clear();
    if (row->integer(1) != 0) {
      const Result<const std::string*> part = components_.name_of(static_cast<std::uint32_t>(row->integer(1)));
      if (!part) return tl::unexpected(part.error());
      if (*part != nullptr) component = **part;
    }
    const Known known{twin,
                      component,
                      row->text(2),
                      as_unsigned(row->integer(3)),
                      as_unsigned(row->integer(4)),
                      moment_at(*row, 5),
                      moment_at(*row, 9),
                      row->integer(13) != 0};
    if (!visit(known)) return {};
  }
}

std::uint64_t Store::wal_bytes() const { return std::uint64_t{wal_pages()} * kPageBytes; }

Result<std::uint32_t> Store::free_pages() {
  const Result<std::int64_t> pages = database_.integer("PRAGMA freelist_count");
  if (!pages) return tl::unexpected(pages.error());
  return static_cast<std::uint32_t>(*pages);
}

Result<void> Store::vacuum(std::uint32_t pages) {
  return database_.execute("PRAGMA incremental_vacuum(" + std::to_string(pages) + ")");
}

}  // namespace twinspool
