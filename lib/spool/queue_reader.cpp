#include "spool/queue_reader.h"

#include <algorithm>

#include "spool/row_checksum.h"

namespace twinspool {

namespace {

// The body last: it may lie on pages of its own, which are read only where it is asked for.
constexpr const char* kQueued =
    "SELECT m.sequence, m.twin, m.accepted_ms, m.bytes, m.checksum, m.replay_of, m.retry_of, coalesce(s.name, ''), "
    "coalesce(t.name, ''), coalesce(c.name, ''), m.message_id, m.source_time, m.traceparent, m.tracestate, m.body FROM "
    "messages m LEFT JOIN twins t ON t.number = m.twin LEFT JOIN components c ON c.number = m.component LEFT JOIN "
    "source_names s ON s.number = m.source WHERE m.sequence > ?1 ORDER BY m.sequence LIMIT ?2";
constexpr const char* kLeft =
    "SELECT d.sequence, d.replay_of, d.retry_of, d.accepted_ms, d.at_ms, d.status, d.outcome, coalesce(t.name, ''), "
    "coalesce(c.name, ''), d.message_id FROM trace d LEFT JOIN twins t ON t.number = d.twin LEFT JOIN components c ON "
    "c.number = d.component WHERE d.sequence = ?1 LIMIT 1";
constexpr const char* kKept =
    "SELECT source_time, traceparent, tracestate, body FROM kept_messages WHERE sequence = ?1 LIMIT 1";
constexpr const char* kLeftSince =
    "SELECT d.sequence, d.accepted_ms, d.outcome, coalesce(t.name, ''), coalesce(c.name, ''), d.message_id FROM trace "
    "d LEFT JOIN twins t ON t.number = d.twin LEFT JOIN components c ON c.number = d.component WHERE d.n > ?1 AND "
    "d.sequence > ?2";
constexpr int kTexts = 8;  // of kQueued: the first column of Telemetry

Sequence sequence_at(const sqlite::Statement& row, int column) { return static_cast<Sequence>(row.integer(column)); }

QueuedMessage message_of(const sqlite::Statement& row, RowChecksum& checksum) {
  QueuedMessage message;
  message.sequence = sequence_at(row, 0);
  message.accepted_ms = row.integer(2);
  message.bytes = static_cast<std::uint64_t>(row.integer(3));
  message.replay_of = sequence_at(row, 5);
  message.retry_of = sequence_at(row, 6);
  message.socket = row.text(7);
  Telemetry& telemetry = message.telemetry;
  int column = kTexts;
  for (std::string* text : {&telemetry.twin, &telemetry.component, &telemetry.message_id, &telemetry.source_time,
                            &telemetry.traceparent, &telemetry.tracestate, &telemetry.body})
    *text = row.text(column++);
  message.sound = checksum.of(message.sequence, telemetry) == row.integer(4);
  return message;
}

// 0: none of the spellings is known.
Result<std::int64_t> number_of_twin(sqlite::Database& database, const std::vector<std::string>& spellings) {
  Result<sqlite::Statement> find = database.prepare("SELECT number FROM twins WHERE name = ?1");
  if (!find) return tl::unexpected(find.error());
  for (const std::string& name : spellings) {
    const Result<bool> there = find->bind(1, name).step();
    if (!there) return tl::unexpected(there.error());
    if (*there) return find->integer(0);
  }
  return 0;
}

}  // namespace

// The figures may be behind the rows (spool/figures.h), and where no rows are left they are not.
Result<Sequence> newest_sequence(sqlite::Database& database) {
  return database
      .integer("SELECT max(next_sequence - 1, coalesce((SELECT max(sequence) FROM messages), 0)) FROM figures")
      .map([](std::int64_t newest) { return static_cast<Sequence>(newest); });
}

Result<QueueSlice> read_queue(sqlite::Database& database, const QueueQuestion& question) {
  QueueSlice slice{.scanned_through = question.after};
  const Result<std::int64_t> twin =
      question.twins.empty() ? Result<std::int64_t>(0) : number_of_twin(database, question.twins);
  if (!twin) return tl::unexpected(twin.error());
  if (!question.twins.empty() && *twin == 0) {
    slice.reached_end = true;
    return slice;
  }
  Result<sqlite::Statement> row = database.prepare(kQueued);
  if (!row) return tl::unexpected(row.error());
  row->bind(1, question.after).bind(2, question.rows_scanned_max);
  RowChecksum checksum;
  std::size_t bytes = 0, scanned = 0;
  while (slice.messages.size() < question.messages_max && bytes < question.bytes_max) {
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) {
      slice.reached_end = scanned < question.rows_scanned_max;
      break;
    }
    ++scanned;
    slice.scanned_through = sequence_at(*row, 0);
    if (*twin != 0 && row->integer(1) != *twin) continue;
    slice.messages.push_back(message_of(*row, checksum));
    bytes += weight(slice.messages.back().telemetry);
  }
  return slice;
}

Result<std::optional<LeftMessage>> find_left(sqlite::Database& database, Sequence sequence) {
  Result<sqlite::Statement> row = database.prepare(kLeft);
  if (!row) return tl::unexpected(row.error());
  const Result<bool> there = row->bind(1, sequence).step();
  if (!there) return tl::unexpected(there.error());
  if (!*there) return std::nullopt;
  LeftMessage left{.sequence = sequence_at(*row, 0),
                   .replay_of = sequence_at(*row, 1),
                   .retry_of = sequence_at(*row, 2),
                   .accepted_ms = row->integer(3),
                   .at_ms = row->integer(4),
                   .status = static_cast<int>(row->integer(5)),
                   .outcome = std::string(row->text(6)),
                   .telemetry = {.twin = std::string(row->text(7)),
                                 .component = std::string(row->text(8)),
                                 .message_id = std::string(row->text(9))}};
  Result<sqlite::Statement> kept = database.prepare(kKept);
  if (!kept) return tl::unexpected(kept.error());
  const Result<bool> is_kept = kept->bind(1, sequence).step();
  if (!is_kept) return tl::unexpected(is_kept.error());
  left.kept = *is_kept;
  if (left.kept) {
    Telemetry& telemetry = left.telemetry;
    int column = 0;
    for (std::string* text : {&telemetry.source_time, &telemetry.traceparent, &telemetry.tracestate, &telemetry.body})
      *text = kept->text(column++);
  }
  return left;
}

Result<std::vector<HeldTwin>> list_held(sqlite::Database& database, std::size_t count) {
  Result<sqlite::Statement> row = database.prepare(
      "SELECT coalesce(t.name, ''), n.status, n.error_code FROM lane_notes n LEFT JOIN twins t ON t.number = n.twin "
      "WHERE n.state = 'held' ORDER BY n.since_ms LIMIT ?1");
  if (!row) return tl::unexpected(row.error());
  row->bind(1, count);
  std::vector<HeldTwin> held;
  for (;;) {
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) return held;
    held.push_back({std::string(row->text(0)), static_cast<int>(row->integer(1)), std::string(row->text(2))});
  }
}

Result<Newcomers> NewcomerReader::next(sqlite::Database& database, std::size_t show) {
  // One snapshot: a message that is delivered meanwhile must not fall between two tables.
  if (Result<void> begun = database.execute("BEGIN"); !begun) return tl::unexpected(begun.error());
  const Result<void> placed = begun_ ? Result<void>{} : begin(database, show);
  Result<Newcomers> found = placed ? read(database) : tl::unexpected(placed.error());
  if (Result<void> ended = database.execute("COMMIT"); !ended && found) return tl::unexpected(ended.error());
  return found;
}

Result<void> NewcomerReader::begin(sqlite::Database& database, std::size_t show) {
  const Result<Sequence> newest = newest_sequence(database);
  if (!newest) return tl::unexpected(newest.error());
  const Result<std::int64_t> traced = database.integer("SELECT max(n) FROM trace");
  if (!traced) return tl::unexpected(traced.error());
  seen_ = *newest;
  traced_ = *traced;
  if (show > 0) {
    const Result<std::int64_t> before = database.integer(
        "SELECT coalesce(min(sequence) - 1, (SELECT next_sequence - 1 FROM figures)) FROM (SELECT sequence FROM "
        "messages ORDER BY sequence DESC LIMIT " +
        std::to_string(show) + ")");
    if (!before) return tl::unexpected(before.error());
    seen_ = static_cast<Sequence>(*before);
  }
  begun_ = true;
  return {};
}

Result<Newcomers> NewcomerReader::read(sqlite::Database& database) {
  const Result<Sequence> newest = newest_sequence(database);
  if (!newest) return tl::unexpected(newest.error());
  const Result<std::int64_t> traced = database.integer("SELECT max(n) FROM trace");
  if (!traced) return tl::unexpected(traced.error());
  const Sequence last = *newest;
  Newcomers found;
  if (last < seen_) seen_ = last;      // another store: it begins where that one is
  if (*traced < traced_) traced_ = 0;  // the trace was emptied, and its rows count from the front again
  if (last > seen_ + messages_max_) {
    found.passed_over = last - seen_ - messages_max_;
    seen_ = last - messages_max_;
  }
  if (last > seen_) {
    Result<sqlite::Statement> left = database.prepare(kLeftSince);
    if (!left) return tl::unexpected(left.error());
    left->bind(1, traced_).bind(2, seen_);
    for (;;) {
      const Result<bool> there = left->step();
      if (!there) return tl::unexpected(there.error());
      if (!*there) break;
      found.messages.push_back({.sequence = sequence_at(*left, 0),
                                .accepted_ms = left->integer(1),
                                .state = std::string(left->text(2)),
                                .telemetry = {.twin = std::string(left->text(3)),
                                              .component = std::string(left->text(4)),
                                              .message_id = std::string(left->text(5))}});
    }
    Result<QueueSlice> queued = read_queue(
        database,
        {.after = seen_, .messages_max = messages_max_, .bytes_max = SIZE_MAX, .rows_scanned_max = messages_max_});
    if (!queued) return tl::unexpected(queued.error());
    for (QueuedMessage& message : queued->messages)
      found.messages.push_back({.sequence = message.sequence,
                                .accepted_ms = message.accepted_ms,
                                .state = "queued",
                                .telemetry = std::move(message.telemetry)});
    std::sort(found.messages.begin(), found.messages.end(),
              [](const Newcomer& a, const Newcomer& b) { return a.sequence < b.sequence; });
  }
  seen_ = last;
  traced_ = *traced;
  return found;
}

}  // namespace twinspool
