// What is read from a store, of store.h.
#include <algorithm>

#include "spool/columns.h"
#include "spool/store.h"
#include "spool/store_sql.h"

namespace twinspool {
namespace {

enum Columns : int { kSequence, kTwin, kComponent, kAcceptedMs, kChecksum, kMessageId };  // of sql::read_messages

}  // namespace

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

}  // namespace twinspool
