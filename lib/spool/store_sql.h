// The statements of the store, for store.cpp and for the tests of their plans.
#pragma once

namespace twinspool::sql {

constexpr const char* append_message =
    "INSERT INTO messages(sequence, twin, component, source, accepted_ms, boot, uptime_ms, clock_synced, bytes, "
    "body_digest, checksum, replay_of, retry_of, message_id, source_time, traceparent, tracestate, body) VALUES(?, ?, "
    "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
constexpr const char* take_message =
    "SELECT twin, component, accepted_ms, boot, uptime_ms, clock_synced, bytes, body_digest, message_id, source, "
    "replay_of, retry_of FROM messages WHERE sequence = ?";
constexpr const char* delete_message = "DELETE FROM messages WHERE sequence = ?";
constexpr const char* quarantine_message =
    "INSERT INTO quarantined_messages(sequence, twin, component, source, accepted_ms, boot, uptime_ms, clock_synced, "
    "bytes, body_digest, checksum, replay_of, retry_of, quarantined_ms, status, attempts, reason, error_code, "
    "error_message, message_id, source_time, traceparent, tracestate, body) SELECT sequence, twin, component, source, "
    "accepted_ms, boot, uptime_ms, clock_synced, bytes, body_digest, checksum, replay_of, retry_of, ?2, ?3, ?4, ?5, "
    "?6, ?7, message_id, source_time, traceparent, tracestate, body FROM messages WHERE sequence = ?1";
constexpr const char* keep_message =
    "INSERT INTO kept_messages(sequence, twin, component, accepted_ms, bytes, checksum, retry_of, body_digest, "
    "delivered_ms, boot, uptime_ms, clock_synced, status, message_id, source_time, traceparent, tracestate, body) "
    "SELECT sequence, twin, component, accepted_ms, bytes, checksum, retry_of, body_digest, ?2, ?3, ?4, ?5, ?6, "
    "message_id, source_time, traceparent, tracestate, body FROM messages WHERE sequence = ?1";
constexpr const char* front_of_kept =  // by row number, from the front: stops at the first row to keep
    "SELECT n, delivered_ms, boot, uptime_ms, clock_synced, bytes FROM kept_messages ORDER BY n LIMIT ?";
constexpr const char* trim_kept = "DELETE FROM kept_messages WHERE n <= ?";
constexpr const char* append_trace =
    "INSERT INTO trace(sequence, twin, component, accepted_ms, accepted_boot, accepted_uptime_ms, "
    "accepted_clock_synced, body_digest, at_ms, boot, uptime_ms, clock_synced, outcome, status, replay_of, retry_of, "
    "message_id) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
constexpr const char* front_of_trace =  // by row number, from the front: stops at the first row to keep
    "SELECT n, at_ms, boot, uptime_ms, clock_synced FROM trace ORDER BY n LIMIT ?";
constexpr const char* trim_trace = "DELETE FROM trace WHERE n <= ?";
constexpr const char* newest_of_trace = "SELECT max(n) FROM trace";
constexpr const char* put_note =
    "INSERT OR REPLACE INTO lane_notes(twin, state, since_ms, retry_at_ms, status, error_code) VALUES(?, ?, ?, ?, ?, "
    "?)";
constexpr const char* delete_note = "DELETE FROM lane_notes WHERE twin = ?";
constexpr const char* get_notes =
    "SELECT twin, state, since_ms, retry_at_ms, status, error_code FROM lane_notes ORDER BY twin";
constexpr const char* put_figures =
    "UPDATE figures SET next_sequence = ?, queued_messages = ?, queued_bytes = ?, accepted = ?, duplicates = ?, "
    "delivered = ?, quarantined = ?, dropped = ?, expired = ?, lost = ?, quarantine_messages = ?, replayed = ?, "
    "retried = ?, kept_messages = ?, kept_bytes = ?, sources = ? WHERE one = 1";
constexpr const char* get_figures =
    "SELECT next_sequence, queued_messages, queued_bytes, accepted, duplicates, delivered, quarantined, dropped, "
    "expired, lost, quarantine_messages, replayed, retried, kept_messages, kept_bytes, sources FROM figures WHERE one "
    "= 1";
constexpr const char* newest_rows =  // those that the figures do not have yet
    "SELECT sequence, source, bytes FROM messages WHERE sequence >= ? ORDER BY sequence LIMIT ?";
constexpr const char* parse_sources =
    "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?)";
constexpr const char* count_sources =  // a scan: only where the figures are wrong
    "SELECT source, count(*), sum(bytes) FROM messages GROUP BY source ORDER BY source";
constexpr const char* read_messages =  // by row number: no index, no sort; order as in Columns
    "SELECT sequence, twin, component, accepted_ms, checksum, message_id, source_time, traceparent, tracestate, body "
    "FROM messages WHERE sequence > ? AND sequence <= ? ORDER BY sequence";
constexpr const char* front_messages =
    "SELECT sequence, bytes, accepted_ms, boot, uptime_ms, clock_synced FROM messages WHERE sequence > ? ORDER BY "
    "sequence LIMIT ?";
constexpr const char* newest_queued =
    "SELECT twin, component, message_id, body_digest, sequence, accepted_ms, boot, uptime_ms, clock_synced, "
    "accepted_ms, boot, uptime_ms, clock_synced, replay_of + retry_of FROM messages WHERE sequence > ? ORDER BY "
    "sequence "
    "DESC";
constexpr const char* newest_left =
    "SELECT twin, component, message_id, body_digest, sequence, accepted_ms, accepted_boot, accepted_uptime_ms, "
    "accepted_clock_synced, at_ms, boot, uptime_ms, clock_synced, replay_of + retry_of FROM trace WHERE n > ? ORDER BY "
    "n "
    "DESC";

}  // namespace twinspool::sql
