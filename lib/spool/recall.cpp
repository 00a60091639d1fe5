#include "spool/recall.h"

#include <algorithm>

namespace twinspool {

namespace {

// Row number first, then what each needs, then the columns of sql::read_messages from kMessage on.
constexpr const char* kKept =
    "SELECT n, delivered_ms, sequence, 0, bytes, sequence, twin, component, accepted_ms, checksum, message_id, "
    "source_time, traceparent, tracestate, body FROM kept_messages WHERE n > ?1 AND n <= ?2 ORDER BY n";
constexpr const char* kQuarantined =
    "SELECT sequence, 0, replay_of, sequence, bytes, sequence, twin, component, accepted_ms, checksum, message_id, "
    "source_time, traceparent, tracestate, body FROM quarantined_messages WHERE sequence > ?1 AND sequence <= ?2 ORDER "
    "BY sequence";
constexpr const char* kForget = "DELETE FROM quarantined_messages WHERE sequence = ?";
enum Columns : int { kRow, kDeliveredMs, kReplayOf, kRetryOf, kBytes, kMessage };
constexpr int kTwin = kMessage + 1;

}  // namespace

// A sequence that is named twice is one message.
RecallRun::RecallRun(Recall order) : order_(std::move(order)) {
  std::sort(order_.sequences.begin(), order_.sequences.end());
  order_.sequences.erase(std::unique(order_.sequences.begin(), order_.sequences.end()), order_.sequences.end());
}

void RecallRun::stop(const std::string& why) {
  done_.result.stopped = why;
  done_.ended = true;
}

Result<void> RecallRun::step(Store& store, const Admit& admit,
                             const std::function<std::uint64_t(const Telemetry&)>& body_digest, const Moment& at,
                             std::vector<Message>& put_back) {
  next_ = done_;
  Result<std::vector<Candidate>> candidates =
      order_.what == Recall::What::replay ? look_at_kept(store) : look_at_quarantined(store);
  if (!candidates) return tl::unexpected(candidates.error());
  for (Candidate& candidate : *candidates) {
    if (!candidate.sound && order_.what != Recall::What::purge) {
      ++next_.result.damaged;  // stays where it is
      continue;
    }
    const std::uint64_t digest = body_digest(candidate.message.telemetry);
    const Result<bool> done = put_back_or_purge(store, candidate, admit, digest, at, put_back);
    if (!done) return tl::unexpected(done.error());
    if (!*done) return {};
    ++next_.result.messages;
    next_.result.bytes += candidate.bytes;
  }
  return {};
}

Result<bool> RecallRun::put_back_or_purge(Store& store, Candidate& candidate, const Admit& admit,
                                          std::uint64_t body_digest, const Moment& at, std::vector<Message>& put_back) {
  if (order_.what != Recall::What::purge) {
    if (const std::optional<Refused> refused = admit(weight(candidate.message.telemetry))) {
      next_.result.stopped = refused->what;
      next_.result.stopped_at_ms = candidate.delivered_ms;
      next_.ended = true;
      return false;
    }
  }
  if (!store.writing()) {
    if (Result<void> begun = store.begin(); !begun) return tl::unexpected(begun.error());
  }
  if (order_.what != Recall::What::purge) {
    const Store::Arrival arrival{kNoSource, body_digest, at, candidate.replay_of, candidate.retry_of};
    if (Result<void> appended = store.append(candidate.message.telemetry, arrival, candidate.message); !appended)
      return tl::unexpected(appended.error());
    put_back.push_back(std::move(candidate.message));
  }
  if (order_.what == Recall::What::replay) return true;
  Result<sqlite::Statement> forget = store.database().prepare(kForget);
  if (!forget) return tl::unexpected(forget.error());
  if (Result<void> forgotten = forget->bind(1, candidate.row).run(); !forgotten)
    return tl::unexpected(forgotten.error());
  Figures& figures = store.figures_to_set();
  if (figures.quarantine_messages > 0) --figures.quarantine_messages;
  return true;
}

Result<std::vector<RecallRun::Candidate>> RecallRun::look_at_kept(Store& store) {
  std::vector<Candidate> found;
  sqlite::Database& database = store.database();
  if (!newest_) {
    const Result<std::int64_t> newest = database.integer("SELECT max(n) FROM kept_messages");
    if (!newest) return tl::unexpected(newest.error());
    newest_ = *newest;
    if (!order_.twin.empty()) {
      Result<sqlite::Statement> find = database.prepare("SELECT number FROM twins WHERE name = ?");
      if (!find) return tl::unexpected(find.error());
      const Result<bool> known = find->bind(1, order_.twin).step();
      if (!known) return tl::unexpected(known.error());
      twin_ = *known ? static_cast<TwinNumber>(find->integer(0)) : 0;
    }
  }
  Result<sqlite::Statement> row = database.prepare(kKept);
  if (!row) return tl::unexpected(row.error());
  row->bind(1, next_.cursor).bind(2, *newest_);
  std::size_t bytes = 0;
  for (std::size_t rows = 0; rows < kSliceRowsScannedMax; ++rows) {
    if (found.size() == kSliceMessagesMax || bytes >= kSliceBytesMax) return found;
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) {
      next_.ended = true;
      return found;
    }
    next_.cursor = row->integer(kRow);
    const std::int64_t delivered_ms = row->integer(kDeliveredMs);
    if (delivered_ms < order_.since_ms || delivered_ms >= order_.until_ms) continue;
    if (twin_ && row->integer(kTwin) != *twin_) continue;
    Candidate candidate{.row = next_.cursor, .delivered_ms = delivered_ms, .message = {}};
    candidate.replay_of = static_cast<Sequence>(row->integer(kReplayOf));
    candidate.bytes = static_cast<std::uint64_t>(row->integer(kBytes));
    const Result<bool> sound = store.decode(*row, candidate.message, kMessage);
    if (!sound) return tl::unexpected(sound.error());
    candidate.sound = *sound;
    bytes += weight(candidate.message.telemetry);
    found.push_back(std::move(candidate));
  }
  return found;
}

Result<std::vector<RecallRun::Candidate>> RecallRun::look_at_quarantined(Store& store) {
  std::vector<Candidate> found;
  sqlite::Database& database = store.database();
  if (!newest_) {
    const Result<std::int64_t> newest = database.integer("SELECT max(sequence) FROM quarantined_messages");
    if (!newest) return tl::unexpected(newest.error());
    newest_ = *newest;
  }
  Result<sqlite::Statement> row = database.prepare(kQuarantined);
  if (!row) return tl::unexpected(row.error());
  const bool all = order_.sequences.empty();
  std::size_t bytes = 0;
  while (found.size() < kSliceMessagesMax && bytes < kSliceBytesMax) {
    if (all) {
      row->bind(1, next_.cursor).bind(2, *newest_);
    } else {
      if (next_.asked == order_.sequences.size()) {
        next_.ended = true;
        return found;
      }
      const auto asked = static_cast<std::int64_t>(order_.sequences[next_.asked++]);
      row->bind(1, asked - 1).bind(2, asked);
    }
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) {
      if (!all) {
        ++next_.result.unknown;
        continue;
      }
      next_.ended = true;
      return found;
    }
    const sqlite::ResetAtEnd ends(*row);
    next_.cursor = row->integer(kRow);
    Candidate candidate{.row = next_.cursor, .message = {}};
    candidate.replay_of = static_cast<Sequence>(row->integer(kReplayOf));
    candidate.retry_of = static_cast<Sequence>(row->integer(kRetryOf));
    candidate.bytes = static_cast<std::uint64_t>(row->integer(kBytes));
    const Result<bool> sound = store.decode(*row, candidate.message, kMessage);
    if (!sound) return tl::unexpected(sound.error());
    candidate.sound = *sound;
    bytes += weight(candidate.message.telemetry);
    found.push_back(std::move(candidate));
  }
  return found;
}

}  // namespace twinspool
