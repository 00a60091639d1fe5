#include "spool/schema.h"

#include <array>
#include <bit>
#include <string>

namespace twinspool {
namespace {

// Hot rows are appended in acceptance order and deleted from the front: no index but the row number, so the rate does
// not depend on the backlog. Texts come last in a row, the body at the very end: what the daemon looks at first never
// needs a body's overflow pages.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE store(
  one         INTEGER PRIMARY KEY CHECK(one = 1),
  store_id    TEXT NOT NULL,
  digest_key  TEXT NOT NULL,      -- hexadecimal; of the deduplication window
  created_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE figures(             -- running, rewritten with every commit
  one                 INTEGER PRIMARY KEY CHECK(one = 1),
  next_sequence       INTEGER NOT NULL,
  queued_messages     INTEGER NOT NULL,
  queued_bytes        INTEGER NOT NULL,
  accepted            INTEGER NOT NULL,
  duplicates          INTEGER NOT NULL,
  delivered           INTEGER NOT NULL,
  quarantined         INTEGER NOT NULL,
  dropped             INTEGER NOT NULL,
  expired             INTEGER NOT NULL,  -- of dropped: by store.max_age
  lost                INTEGER NOT NULL,  -- of dropped: not found when a damaged file was salvaged
  quarantine_messages INTEGER NOT NULL,
  replayed            INTEGER NOT NULL,  -- of accepted: put back from kept_messages
  retried             INTEGER NOT NULL,  -- of accepted: put back from the quarantine
  kept_messages       INTEGER NOT NULL,
  kept_bytes          INTEGER NOT NULL,
  sources             TEXT NOT NULL  -- what is queued of each, [[source, messages, bytes], ...]: on this page, because a
                                     -- second one would cost every small commit 4 KiB
) STRICT;

CREATE TABLE twins(
  number INTEGER PRIMARY KEY,
  name   TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE components(          -- messages to a twin itself have component 0, which has no row
  number INTEGER PRIMARY KEY,
  name   TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE source_names(        -- the sockets by which messages came; 0, none that is known, has no row
  number INTEGER PRIMARY KEY,
  name   TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE boots(
  number           INTEGER PRIMARY KEY,
  boot_id          TEXT NOT NULL UNIQUE,
  first_started_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE messages(
  sequence     INTEGER PRIMARY KEY,
  twin         INTEGER NOT NULL,
  component    INTEGER NOT NULL,
  source       INTEGER NOT NULL,  -- whose quota it counts against
  accepted_ms  INTEGER NOT NULL,
  boot         INTEGER NOT NULL,
  uptime_ms    INTEGER NOT NULL,  -- of that boot, at acceptance
  clock_synced INTEGER NOT NULL,
  bytes        INTEGER NOT NULL,  -- what it weighs against store.max_size
  body_digest  INTEGER NOT NULL,  -- keyed, of the deduplication window
  checksum     INTEGER NOT NULL,  -- over what will be sent, and the sequence
  replay_of    INTEGER NOT NULL,  -- the sequence under which it was delivered before; 0: no replay
  retry_of     INTEGER NOT NULL,  -- the sequence under which it was quarantined before; 0: no retry
  message_id   TEXT NOT NULL,
  source_time  TEXT NOT NULL,
  traceparent  TEXT NOT NULL,
  tracestate   TEXT NOT NULL,
  body         TEXT NOT NULL
) STRICT;

CREATE TABLE trace(               -- of messages that left the queue, in the order in which they left
  n                 INTEGER PRIMARY KEY,
  sequence          INTEGER NOT NULL,
  twin              INTEGER NOT NULL,
  component         INTEGER NOT NULL,
  accepted_ms       INTEGER NOT NULL,
  accepted_boot     INTEGER NOT NULL,
  accepted_uptime_ms INTEGER NOT NULL,
  accepted_clock_synced INTEGER NOT NULL,
  body_digest       INTEGER NOT NULL,
  at_ms             INTEGER NOT NULL,
  boot              INTEGER NOT NULL,
  uptime_ms         INTEGER NOT NULL,
  clock_synced      INTEGER NOT NULL,
  outcome           TEXT NOT NULL, -- delivered, quarantined, expired, dropped
  status            INTEGER NOT NULL,
  replay_of         INTEGER NOT NULL,
  retry_of          INTEGER NOT NULL,
  message_id        TEXT NOT NULL
) STRICT;

CREATE TABLE window_segments(     -- the deduplication window, packed: a start need not read the rows of a million messages
  n              INTEGER PRIMARY KEY,
  first_sequence INTEGER NOT NULL,
  last_sequence  INTEGER NOT NULL,
  trace_n        INTEGER NOT NULL,  -- rows of the trace up to here are of messages in this segment or before
  at_ms          INTEGER NOT NULL,
  boot           INTEGER NOT NULL,
  uptime_ms      INTEGER NOT NULL,
  clock_synced   INTEGER NOT NULL,
  checksum       INTEGER NOT NULL,  -- over all of this
  entries        TEXT NOT NULL      -- base64; 32 bytes each, spool/window_log.h
) STRICT;

CREATE TABLE kept_messages(       -- delivered ones, for a replay, in the order in which they left; store.keep_delivered
  n            INTEGER PRIMARY KEY,
  sequence     INTEGER NOT NULL,
  twin         INTEGER NOT NULL,
  component    INTEGER NOT NULL,
  accepted_ms  INTEGER NOT NULL,
  bytes        INTEGER NOT NULL,
  checksum     INTEGER NOT NULL,
  retry_of     INTEGER NOT NULL,
  body_digest  INTEGER NOT NULL,
  delivered_ms INTEGER NOT NULL,
  boot         INTEGER NOT NULL,  -- when it was delivered
  uptime_ms    INTEGER NOT NULL,
  clock_synced INTEGER NOT NULL,
  status       INTEGER NOT NULL,
  message_id   TEXT NOT NULL,
  source_time  TEXT NOT NULL,
  traceparent  TEXT NOT NULL,
  tracestate   TEXT NOT NULL,
  body         TEXT NOT NULL
) STRICT;

CREATE TABLE quarantined_messages(
  sequence       INTEGER PRIMARY KEY,
  twin           INTEGER NOT NULL,
  component      INTEGER NOT NULL,
  source         INTEGER NOT NULL,
  accepted_ms    INTEGER NOT NULL,
  boot           INTEGER NOT NULL,
  uptime_ms      INTEGER NOT NULL,
  clock_synced   INTEGER NOT NULL,
  bytes          INTEGER NOT NULL,
  body_digest    INTEGER NOT NULL,
  checksum       INTEGER NOT NULL,
  replay_of      INTEGER NOT NULL,
  retry_of       INTEGER NOT NULL,
  quarantined_ms INTEGER NOT NULL,
  status         INTEGER NOT NULL, -- the cloud's, 0: none
  attempts       INTEGER NOT NULL,
  reason         TEXT NOT NULL,    -- refused (by the cloud), checksum (the row was damaged on disk)
  error_code     TEXT NOT NULL,
  error_message  TEXT NOT NULL,
  message_id     TEXT NOT NULL,
  source_time    TEXT NOT NULL,
  traceparent    TEXT NOT NULL,
  tracestate     TEXT NOT NULL,
  body           TEXT NOT NULL
) STRICT;

CREATE TABLE lane_notes(          -- lanes that do not flow
  twin        INTEGER PRIMARY KEY,
  state       TEXT NOT NULL,
  since_ms    INTEGER NOT NULL,
  retry_at_ms INTEGER NOT NULL,
  status      INTEGER NOT NULL,
  error_code  TEXT NOT NULL
) STRICT;

-- Outer joins everywhere: a row whose look-up table is damaged must still be seen.
CREATE VIEW queue AS
SELECT m.sequence,
       coalesce(t.name, '') AS twin,
       coalesce(c.name, '') AS component,
       m.message_id,
       m.source_time,
       strftime('%Y-%m-%dT%H:%M:%fZ', m.accepted_ms / 1000.0, 'unixepoch') AS accepted_at,
       (SELECT CASE WHEN s < 60 THEN s || 's'
                    WHEN s < 3600 THEN s / 60 || 'm ' || s % 60 || 's'
                    WHEN s < 86400 THEN s / 3600 || 'h ' || s % 3600 / 60 || 'm'
                    ELSE s / 86400 || 'd ' || s % 86400 / 3600 || 'h' END
        FROM (SELECT max(0, unixepoch() - m.accepted_ms / 1000) AS s)) AS age,
       m.bytes,
       m.body,
       m.traceparent,
       m.tracestate,
       coalesce(s.name, '') AS socket,
       m.replay_of,
       m.retry_of
FROM messages m LEFT JOIN twins t ON t.number = m.twin LEFT JOIN components c ON c.number = m.component
     LEFT JOIN source_names s ON s.number = m.source;

CREATE VIEW lanes AS
SELECT coalesce(t.name, '') AS twin,
       m.depth,
       strftime('%Y-%m-%dT%H:%M:%fZ', m.accepted_ms / 1000.0, 'unixepoch') AS oldest,
       coalesce(n.state, 'ready') AS state,
       CASE WHEN n.retry_at_ms > 0 THEN strftime('%Y-%m-%dT%H:%M:%fZ', n.retry_at_ms / 1000.0, 'unixepoch')
            ELSE '' END AS retry_at,
       coalesce(n.status, 0) AS last_status,
       coalesce(n.error_code, '') AS last_code
FROM (SELECT twin, count(*) AS depth, min(sequence), accepted_ms FROM messages GROUP BY twin) m
     LEFT JOIN twins t ON t.number = m.twin LEFT JOIN lane_notes n ON n.twin = m.twin;

CREATE VIEW quarantine AS
SELECT q.sequence,
       coalesce(t.name, '') AS twin,
       coalesce(c.name, '') AS component,
       q.message_id,
       q.source_time,
       strftime('%Y-%m-%dT%H:%M:%fZ', q.accepted_ms / 1000.0, 'unixepoch') AS accepted_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', q.quarantined_ms / 1000.0, 'unixepoch') AS quarantined_at,
       q.status,
       q.error_code,
       q.error_message,
       q.attempts,
       q.reason,
       q.bytes,
       q.body,
       q.traceparent,
       q.tracestate,
       coalesce(s.name, '') AS socket,
       q.replay_of,
       q.retry_of
FROM quarantined_messages q LEFT JOIN twins t ON t.number = q.twin LEFT JOIN components c ON c.number = q.component
     LEFT JOIN source_names s ON s.number = q.source;

CREATE VIEW delivered AS
SELECT d.sequence,
       coalesce(t.name, '') AS twin,
       coalesce(c.name, '') AS component,
       d.message_id,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.accepted_ms / 1000.0, 'unixepoch') AS accepted_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.at_ms / 1000.0, 'unixepoch') AS delivered_at,
       d.status,
       d.replay_of,
       d.retry_of
FROM trace d LEFT JOIN twins t ON t.number = d.twin LEFT JOIN components c ON c.number = d.component
WHERE d.outcome = 'delivered';

CREATE VIEW kept AS
SELECT k.sequence,
       coalesce(t.name, '') AS twin,
       coalesce(c.name, '') AS component,
       k.message_id,
       k.source_time,
       strftime('%Y-%m-%dT%H:%M:%fZ', k.accepted_ms / 1000.0, 'unixepoch') AS accepted_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', k.delivered_ms / 1000.0, 'unixepoch') AS delivered_at,
       k.status,
       k.bytes,
       k.body,
       k.traceparent,
       k.tracestate,
       k.retry_of
FROM kept_messages k LEFT JOIN twins t ON t.number = k.twin LEFT JOIN components c ON c.number = k.component;

CREATE VIEW sources AS            -- what is queued of each socket, so what counts against its quota
SELECT n.name AS socket, coalesce(w.messages, 0) AS messages, coalesce(w.bytes, 0) AS bytes
FROM source_names n
     LEFT JOIN (SELECT max(CASE a.key WHEN 0 THEN a.value END) AS number,  -- json_extract() is none for a view that
                       max(CASE a.key WHEN 1 THEN a.value END) AS messages,  -- is read with trusted_schema off
                       max(CASE a.key WHEN 2 THEN a.value END) AS bytes
                FROM figures f, json_each(f.sources) e, json_each(e.value) a GROUP BY e.key) w ON w.number = n.number;

CREATE VIEW summary AS
SELECT f.queued_messages,
       f.queued_bytes,
       coalesce((SELECT strftime('%Y-%m-%dT%H:%M:%fZ', accepted_ms / 1000.0, 'unixepoch')
                 FROM messages ORDER BY sequence LIMIT 1), '') AS oldest,
       f.accepted,
       f.duplicates,
       f.delivered,
       f.quarantined,
       f.dropped,
       f.expired,
       f.lost,
       f.quarantine_messages,
       f.replayed,
       f.retried,
       f.kept_messages,
       f.kept_bytes,
       f.next_sequence - 1 AS newest_sequence,
       s.store_id,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.created_ms / 1000.0, 'unixepoch') AS created_at
FROM figures f, store s;
)sql";

// Commits that only append leave the row of figures as it is (spool/figures.h), so these two views add the rows of
// messages that came since: from its next_sequence on, numbered without a gap.
constexpr const char* kVersion2 = R"sql(
DROP VIEW sources;
DROP VIEW summary;

CREATE VIEW sources AS            -- what is queued of each socket, so what counts against its quota
SELECT n.name AS socket, coalesce(w.messages, 0) AS messages, coalesce(w.bytes, 0) AS bytes
FROM source_names n
     LEFT JOIN (SELECT number, sum(messages) AS messages, sum(bytes) AS bytes
                FROM (SELECT max(CASE a.key WHEN 0 THEN a.value END) AS number,  -- json_extract() is none for a view
                             max(CASE a.key WHEN 1 THEN a.value END) AS messages,  -- that is read with trusted_schema
                             max(CASE a.key WHEN 2 THEN a.value END) AS bytes      -- off
                      FROM figures f, json_each(f.sources) e, json_each(e.value) a GROUP BY e.key
                      UNION ALL
                      SELECT source, 1, CASE WHEN bytes BETWEEN 0 AND 1048576 THEN bytes ELSE 1048576 END
                      FROM messages WHERE sequence >= (SELECT next_sequence FROM figures))
                GROUP BY number) w ON w.number = n.number;

CREATE VIEW summary AS
SELECT f.queued_messages + a.messages AS queued_messages,
       f.queued_bytes + a.bytes AS queued_bytes,
       coalesce((SELECT strftime('%Y-%m-%dT%H:%M:%fZ', accepted_ms / 1000.0, 'unixepoch')
                 FROM messages ORDER BY sequence LIMIT 1), '') AS oldest,
       f.accepted + a.messages AS accepted,
       f.duplicates,
       f.delivered,
       f.quarantined,
       f.dropped,
       f.expired,
       f.lost,
       f.quarantine_messages,
       f.replayed,
       f.retried,
       f.kept_messages,
       f.kept_bytes,
       f.next_sequence - 1 + a.messages AS newest_sequence,
       s.store_id,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.created_ms / 1000.0, 'unixepoch') AS created_at
FROM figures f, store s,
     (SELECT count(*) AS messages,
             coalesce(sum(CASE WHEN bytes BETWEEN 0 AND 1048576 THEN bytes ELSE 1048576 END), 0) AS bytes
      FROM messages WHERE sequence >= (SELECT next_sequence FROM figures)) a;
)sql";

constexpr std::array kMigrations = {kVersion1, kVersion2};

}  // namespace

std::span<const char* const> migrations() { return kMigrations; }

namespace {

// All of the schema's text.
Result<std::string> written_schema(sqlite::Database& database) {
  return database.text("SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)");
}

}  // namespace

Result<bool> has_our_tables(sqlite::Database& database, std::size_t version) {
  auto fresh = sqlite::Database::open(":memory:", sqlite::Database::Mode::read_write);
  if (!fresh) return tl::unexpected(fresh.error());
  for (const char* migration : migrations().first(version))
    if (Result<void> made = fresh->execute(migration); !made) return tl::unexpected(made.error());
  const Result<std::string> ours = written_schema(*fresh);
  const Result<std::string> found = written_schema(database);
  if (!found) return tl::unexpected(found.error());
  return ours && *ours == *found;
}

Result<void> migrate(sqlite::Database& database) {
  const auto newest = static_cast<std::int64_t>(kMigrations.size());
  Result<std::int64_t> version = database.integer("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  if (*version == newest) return {};
  if (*version > newest || *version < 0) {
    // One bit of the number may have changed; the tables would have, too, if a newer version had been here.
    const bool one_bit = std::has_single_bit(static_cast<std::uint64_t>(*version ^ newest));
    const Result<bool> same_tables = has_our_tables(database, kMigrations.size());
    if (one_bit && same_tables && *same_tables)
      return fail(Errc::corrupt, "the number of the schema is " + std::to_string(*version) +
                                     ", and its tables are those of " + std::to_string(newest));
    return fail(Errc::invalid, "the database has schema " + std::to_string(*version) +
                                   " and this twinspool knows up to " + std::to_string(newest) +
                                   ": a newer version wrote it, so install that version again (nothing was changed)");
  }

  Result<sqlite::Transaction> transaction = sqlite::Transaction::begin(database);
  if (!transaction) return tl::unexpected(transaction.error());
  if (*version == 0) {
    Result<void> named = database.execute("PRAGMA application_id = " + std::to_string(kApplicationId));
    if (!named) return named;
  }
  for (auto step = static_cast<std::size_t>(*version); step < kMigrations.size(); ++step) {
    Result<void> migrated = database.execute(kMigrations[step]);
    if (!migrated) return migrated;
  }
  Result<void> counted = database.execute("PRAGMA user_version = " + std::to_string(newest));
  if (!counted) return counted;
  return transaction->commit();
}

}  // namespace twinspool
