#include "spool/whereabouts.h"

#include <optional>

namespace twinspool {

namespace {

// Columns: sequence, accepted_ms, at_ms, status, replay_of, retry_of, state; newest first.
constexpr const char* kQueuedAt =
    "SELECT sequence, accepted_ms, 0, 0, replay_of, retry_of, 'queued' FROM messages WHERE sequence = ?4 AND twin = ?1 "
    "AND component = ?2 AND message_id = ?3";
constexpr const char* kQueued =
    "SELECT sequence, accepted_ms, 0, 0, replay_of, retry_of, 'queued' FROM messages WHERE twin = ?1 AND component = "
    "?2 AND message_id = ?3 ORDER BY sequence DESC LIMIT 1";
constexpr const char* kLeft =
    "SELECT sequence, accepted_ms, at_ms, status, replay_of, retry_of, outcome FROM trace WHERE twin = ?1 AND "
    "component "
    "= ?2 AND message_id = ?3 ORDER BY n DESC LIMIT 1";
constexpr const char* kKept =
    "SELECT sequence, accepted_ms, delivered_ms, status, 0, retry_of, 'delivered' FROM kept_messages WHERE twin = ?1 "
    "AND component = ?2 AND message_id = ?3 ORDER BY n DESC LIMIT 1";
constexpr const char* kQuarantined =
    "SELECT sequence, accepted_ms, quarantined_ms, status, replay_of, retry_of, 'quarantined' FROM "
    "quarantined_messages WHERE twin = ?1 AND component = ?2 AND message_id = ?3 ORDER BY sequence DESC LIMIT 1";
constexpr const char* kWhyQuarantined =
    "SELECT reason, error_code, error_message FROM quarantined_messages WHERE sequence = ?";

struct Key {
  std::int64_t twin = 0, component = 0;
  std::string_view message_id;
  Sequence recent = 0;
};

Sequence sequence_at(const sqlite::Statement& row, int column) { return static_cast<Sequence>(row.integer(column)); }

Result<std::int64_t> number_of(sqlite::Database& database, const std::string& table, const std::string& name) {
  Result<sqlite::Statement> find = database.prepare("SELECT number FROM " + table + " WHERE name = ?");
  if (!find) return tl::unexpected(find.error());
  const Result<bool> known = find->bind(1, name).step();
  if (!known) return tl::unexpected(known.error());
  return *known ? find->integer(0) : 0;
}

Result<std::optional<Whereabouts>> first_of(sqlite::Database& database, const char* query, const Key& key) {
  Result<sqlite::Statement> row = database.prepare(query);
  if (!row) return tl::unexpected(row.error());
  row->bind(1, key.twin).bind(2, key.component).bind(3, key.message_id);
  if (query == kQueuedAt) row->bind(4, key.recent);
  const Result<bool> there = row->step();
  if (!there) return tl::unexpected(there.error());
  if (!*there) return std::nullopt;
  Whereabouts found;
  found.sequence = sequence_at(*row, 0);
  found.accepted_ms = row->integer(1);
  found.at_ms = row->integer(2);
  found.status = static_cast<int>(row->integer(3));
  found.replay_of = sequence_at(*row, 4);
  found.retry_of = sequence_at(*row, 5);
  found.state = row->text(6);
  return found;
}

// The trace says that it was quarantined; the quarantine knows why, unless somebody has purged it.
Result<void> explain(sqlite::Database& database, Whereabouts& found) {
  if (found.state != "quarantined") return {};
  Result<sqlite::Statement> row = database.prepare(kWhyQuarantined);
  if (!row) return tl::unexpected(row.error());
  const Result<bool> there = row->bind(1, found.sequence).step();
  if (!there) return tl::unexpected(there.error());
  if (!*there) {
    found.state = "purged";
    return {};
  }
  found.reason = row->text(0);
  found.error_code = row->text(1);
  found.error_message = row->text(2);
  return {};
}

}  // namespace

Result<Whereabouts> find_message(sqlite::Database& database, const MessageName& name, Sequence recent) {
  // One snapshot for all of it: a message that is delivered meanwhile must not fall between two tables.
  if (Result<void> begun = database.execute("BEGIN"); !begun) return tl::unexpected(begun.error());
  Key key{.message_id = name.message_id, .recent = recent};
  for (const std::string& twin : name.twins) {
    const Result<std::int64_t> number = number_of(database, "twins", twin);
    if (!number) return tl::unexpected(number.error());
    if (key.twin == 0) key.twin = *number;
  }
  if (key.twin == 0) return Whereabouts{};
  if (!name.component.empty()) {
    const Result<std::int64_t> number = number_of(database, "components", name.component);
    if (!number) return tl::unexpected(number.error());
    if (*number == 0) return Whereabouts{};
    key.component = *number;
  }
  const Result<std::int64_t> put_back = database.integer("SELECT replayed + retried FROM figures");
  if (!put_back) return tl::unexpected(put_back.error());

  std::optional<Whereabouts> newest;
  const auto look_at = [&](const char* query) -> Result<void> {
    Result<std::optional<Whereabouts>> found = first_of(database, query, key);
    if (!found) return tl::unexpected(found.error());
    if (*found && (!newest || (*found)->sequence > newest->sequence)) newest = std::move(*found);
    return {};
  };
  Result<void> looked = recent > 0 && *put_back == 0 ? look_at(kQueuedAt) : Result<void>{};
  if (looked && !newest) {
    looked = look_at(kLeft);
    // The window knows the newest of that name that a sender sent; what is older, or was put back, is looked for.
    const bool sure = newest && recent > 0 && newest->sequence >= recent && *put_back == 0;
    if (looked && !sure) looked = look_at(kQueued);
    if (looked && !newest) looked = look_at(kQuarantined);
    if (looked && !newest) looked = look_at(kKept);
  }
  if (looked && newest) looked = explain(database, *newest);
  if (!looked) return tl::unexpected(looked.error());
  return newest ? std::move(*newest) : Whereabouts{};
}

Result<std::vector<Quarantined>> list_quarantined(sqlite::Database& database, Sequence after, std::size_t count) {
  Result<sqlite::Statement> row = database.prepare(
      "SELECT q.sequence, q.replay_of, q.retry_of, q.accepted_ms, q.quarantined_ms, q.status, q.attempts, q.reason, "
      "q.error_code, q.error_message, coalesce(t.name, ''), coalesce(c.name, ''), q.message_id, q.source_time, "
      "q.traceparent, q.tracestate, q.body FROM quarantined_messages q LEFT JOIN twins t ON t.number = q.twin LEFT "
      "JOIN components c ON c.number = q.component WHERE q.sequence > ?1 ORDER BY q.sequence LIMIT ?2");
  if (!row) return tl::unexpected(row.error());
  row->bind(1, after).bind(2, count);
  std::vector<Quarantined> all;
  for (;;) {
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) return all;
    Quarantined one;
    one.sequence = sequence_at(*row, 0);
    one.replay_of = sequence_at(*row, 1);
    one.retry_of = sequence_at(*row, 2);
    one.accepted_ms = row->integer(3);
    one.quarantined_ms = row->integer(4);
    one.status = static_cast<int>(row->integer(5));
    one.attempts = row->integer(6);
    one.reason = row->text(7);
    one.error_code = row->text(8);
    one.error_message = row->text(9);
    Telemetry& message = one.message;
    int column = 10;
    for (std::string* text : {&message.twin, &message.component, &message.message_id, &message.source_time,
                              &message.traceparent, &message.tracestate, &message.body})
      *text = row->text(column++);
    all.push_back(std::move(one));
  }
}

Result<Recalled> count_kept(sqlite::Database& database, const Recall& order) {
  std::int64_t twin = 0;
  if (!order.twin.empty()) {
    const Result<std::int64_t> number = number_of(database, "twins", order.twin);
    if (!number) return tl::unexpected(number.error());
    if (*number == 0) return Recalled{};
    twin = *number;
  }
  Result<sqlite::Statement> row = database.prepare(
      "SELECT count(*), coalesce(sum(bytes), 0) FROM kept_messages WHERE (?1 = 0 OR twin = ?1) AND delivered_ms >= ?2 "
      "AND delivered_ms < ?3");
  if (!row) return tl::unexpected(row.error());
  const Result<bool> there = row->bind(1, twin).bind(2, order.since_ms).bind(3, order.until_ms).step();
  if (!there) return tl::unexpected(there.error());
  return Recalled{.messages = static_cast<std::uint64_t>(row->integer(0)),
                  .bytes = static_cast<std::uint64_t>(row->integer(1))};
}

}  // namespace twinspool
