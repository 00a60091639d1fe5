#include "spool/store.h"

#include <algorithm>

#include "spool/columns.h"
#include "spool/page_file.h"

namespace twinspool {
namespace {

constexpr std::uint64_t kTraceRowsMax = 1'000'000;  // as many as the deduplication window can hold

std::string_view capped(std::string_view text) {
  if (text.size() <= kErrorTextBytesMax) return text;
  std::size_t end = kErrorTextBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not within a UTF-8 character
  return text.substr(0, end);
}

}  // namespace

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
  const bool due = !persisted_ || !persisted_->with_rows_tell(figures_);
  if (due) {
    if (Result<void> written = write_figures(); !written) return written;
  }
  if (Result<void> committed = transaction_->commit(); !committed) return committed;
  transaction_.reset();
  if (due) persisted_ = figures_;
  return {};
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
      .bind(16, f.sources_text())
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
  figures_.appended(arrival.source, bytes);
  if (arrival.retry_of != 0)
    ++figures_.retried;
  else if (arrival.replay_of != 0)
    ++figures_.replayed;
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
