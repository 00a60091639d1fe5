// Lanes, from the queue into the window: what is read when, and what of it is kept in memory.
#include <algorithm>
#include <utility>

#include "forward/lanes.h"

namespace twinspool::forward {

namespace {

// How full the window may be, in eighths. The differences keep room for each other's turn: fresh messages cannot fill
// the window so far that no lane that is behind can be read, and the last eighth is of those that came early.
constexpr std::size_t kFreshEighths = 5;
constexpr std::size_t kBeforeReadEighths = 6;
constexpr std::size_t kReadEighths = 7;

// Two pipelines, so that one can be read while the other is under way.
std::size_t lane_messages_max(ForwardOrder order, std::size_t pipeline, const LaneLimits& limits) {
  const std::size_t most = limits.window_messages_max / 2;
  return order == ForwardOrder::queue ? most : std::max(limits.lane_messages_max, std::min(2 * pipeline, most));
}

}  // namespace

Lanes::Lanes(ForwardOrder order, std::size_t pipeline, const QueueEnds& ends, const LaneLimits& limits)
    : order_(order),
      pipeline_(pipeline),
      limits_(limits),
      lane_messages_max_(lane_messages_max(order, pipeline, limits)),
      cursor_(ends.oldest == 0 ? ends.newest : ends.oldest - 1),
      newest_(ends.newest),
      ahead_known_from_(newest_) {
  ENSURE(lane_messages_max_ > 0 && pipeline_ > 0);
  ENSURE(limits.parked_messages_max < limits.window_messages_max * kBeforeReadEighths / 8);
  ENSURE(limits.parked_bytes_max < limits.window_bytes_max * kBeforeReadEighths / 8);
}

void Lanes::on_committed(std::vector<Message>&& messages) {
  for (Message& message : messages) {
    const bool next_in_line = caught_up();
    const Sequence sequence = message.sequence;
    newest_ = std::max(newest_, sequence);
    if (sequence <= cursor_) continue;
    const LaneId id = id_of(message);
    if (next_in_line && place(std::move(message), From::commit))
      advance(sequence);
    else if (!place_early(std::move(message)))
      note_ahead(id, sequence);
  }
}

// False where there is no room: the cursor stays before this row.
bool Lanes::place(Message&& message, From from) {
  const auto found = lanes_.find(id_of(message));
  if (found != lanes_.end()) {
    Lane& lane = found->second;
    if (lane.behind_from != 0) {
      lane.behind_last = message.sequence;
      return true;
    }
    if (lane.state == State::waiting || lane.rows.size() >= lane_messages_max_) {
      lane.behind_from = lane.behind_last = message.sequence;
      update_ready(*found);
      update_hunger(*found);
      return true;
    }
  }
  if (!fits(from == From::commit ? kFreshEighths : kReadEighths)) return false;
  Entry& entry = found != lanes_.end() ? *found : *lanes_.try_emplace(id_of(message)).first;
  entry.second.was_read = entry.second.was_read || from == From::disk;
  push(entry, std::move(message));
  return true;
}

// Ahead of the cursor. Not behind what the cursor has placed already: the room is for twins that have no backlog, and
// those that are busy would take all of it. False: the cursor is to place it.
bool Lanes::place_early(Message&& message) {
  const LaneId id = id_of(message);
  if (may_be_ahead(id) || !fits_early()) return false;
  const auto found = lanes_.find(id);
  if (found != lanes_.end()) {
    const Lane& lane = found->second;
    if (lane.state == State::waiting || !came_early(lane)) return false;
    if (lane.rows.size() >= std::min(kFreshRowsMax, lane_messages_max_)) return false;
  }
  early_.push_back(message.sequence);
  Entry& entry = found != lanes_.end() ? *found : *lanes_.try_emplace(id).first;
  push(entry, std::move(message), true);
  return true;
}

bool Lanes::came_early(const Lane& lane) {
  return lane.behind_from == 0 && !lane.rows.empty() && lane.rows.front().early;
}

// One lane for all has, with any row, this one ahead.
bool Lanes::may_be_ahead(LaneId id) const {
  if (order_ == ForwardOrder::queue || cursor_ < ahead_known_from_) return !caught_up();
  const auto last = ahead_.find(id);
  return last != ahead_.end() && last->second > cursor_;
}

void Lanes::note_ahead(LaneId id, Sequence sequence) {
  if (ahead_.size() >= limits_.ahead_twins_max && ahead_.count(id) == 0) {
    std::erase_if(ahead_, [this](const auto& one) { return one.second <= cursor_; });
    if (ahead_.size() > limits_.ahead_twins_max / 2) {
      ahead_known_from_ = sequence;
      return ahead_.clear();
    }
  }
  ahead_[id] = sequence;
  const auto found = lanes_.find(id);
  if (found == lanes_.end()) return;
  update_ready(*found);
}

void Lanes::advance(Sequence to) {
  cursor_ = std::max(cursor_, to);
  while (!early_.empty() && early_.front() <= cursor_) early_.pop_front();
  if (caught_up() && !ahead_.empty()) ahead_.clear();
}

std::optional<ReadRequest> Lanes::next_read() {
  if (order_ == ForwardOrder::queue && !caught_up()) pass_over_the_rest();
  if (read_ || !fits(kBeforeReadEighths)) return std::nullopt;
  if (caught_up() && hungry_.empty()) return std::nullopt;
  const bool for_cursor = !caught_up() && (hungry_.empty() || cursor_reads_next_);
  cursor_reads_next_ = !for_cursor;
  if (!for_cursor) return plan_catch_up();

  ReadRequest request;
  request.after = cursor_;
  request.through = newest_;
  request.messages_max = limits_.read_messages_max;
  request.bytes_max = limits_.read_bytes_max;
  read_ = Read{.after = request.after, .through = request.through, .lanes = {}};
  return request;
}

// With one lane for all, every row behind the lane is behind the cursor, too.
void Lanes::pass_over_the_rest() {
  const auto found = lanes_.find(0);
  if (found == lanes_.end() || found->second.behind_from == 0) return;
  found->second.behind_last = cursor_ = newest_;
}

// One read for the lanes that are furthest behind, the next for those that it did not reach: a lane whose next row is
// millions of rows away takes turns with them.
ReadRequest Lanes::plan_catch_up() {
  auto first = hungry_.begin();
  if (std::exchange(front_was_read_, !front_was_read_)) {
    // Where that read ended its own lanes go on: at the row behind it.
    const auto beyond = hungry_.lower_bound({front_read_through_ + 2, 0});
    if (beyond != hungry_.end()) first = beyond;
  }
  ReadRequest request;
  request.after = first->first - 1;
  request.through = 0;
  request.messages_max = 0;
  request.bytes_max = limits_.read_bytes_max;
  Read read{.after = request.after, .through = 0, .lanes = {}};
  for (; first != hungry_.end() && read.lanes.size() < kCatchUpLanesMax; ++first) {
    const auto& [from, id] = *first;
    const Lane& lane = at(id).second;
    read.lanes.push_back({id, from});
    request.through = std::max(request.through, lane.behind_last);
    request.messages_max += lane_messages_max_ - lane.rows.size();
    if (order_ == ForwardOrder::twin) request.only.push_back(static_cast<TwinNumber>(id));
  }
  std::sort(request.only.begin(), request.only.end());
  request.messages_max = std::min(request.messages_max, limits_.read_messages_max);
  read.through = request.through;
  read_ = std::move(read);
  return request;
}

bool Lanes::on_read(ReadResult&& result) {
  ENSURE(read_);
  const Read read = std::move(*read_);
  read_.reset();
  const Sequence covered = result.reached_end ? read.through : std::min(result.scanned_through, read.through);
  if (!read.lanes.empty()) {
    if (front_was_read_) front_read_through_ = covered;
    hand_out(std::move(result.messages), read, covered);
    return covered > read.after;
  }
  for (Message& message : result.messages) {
    const Sequence sequence = message.sequence;
    if (sequence <= cursor_) continue;
    const bool is_placed = std::binary_search(early_.begin(), early_.end(), sequence);
    if (!is_placed && !place(std::move(message), From::disk)) return true;
    advance(sequence);
  }
  advance(covered);
  return covered > read.after;
}

void Lanes::on_read_failed() {
  ENSURE(read_);
  read_.reset();
}

void Lanes::hand_out(std::vector<Message>&& messages, const Read& read, Sequence covered) {
  // A lane that gave rows back to the disk meanwhile needs earlier ones first: these are not for it.
  for (const CatchUp& asked : read.lanes) {
    const auto found = lanes_.find(asked.id);
    if (found == lanes_.end()) continue;
    Lane& lane = found->second;
    lane.catching_up = lane.behind_from == asked.from && lane.state != State::waiting;
  }
  for (Message& message : messages) {
    const auto found = lanes_.find(id_of(message));
    if (found == lanes_.end()) continue;
    Lane& lane = found->second;
    if (!lane.catching_up || message.sequence < lane.behind_from) continue;
    if (message.sequence > lane.behind_last) continue;  // the cursor is to come by, and this read was for others, too
    lane.behind_from = message.sequence;
    if (std::binary_search(lane.left_ahead.begin(), lane.left_ahead.end(), message.sequence)) continue;
    if (lane.rows.size() >= lane_messages_max_ || !fits(kReadEighths)) {
      lane.catching_up = false;
      continue;
    }
    ++lane.behind_from;
    lane.was_read = true;
    push(*found, std::move(message));
  }
  for (const CatchUp& asked : read.lanes) {
    const auto found = lanes_.find(asked.id);
    if (found == lanes_.end()) continue;
    Lane& lane = found->second;
    if (lane.catching_up) {
      lane.catching_up = false;
      lane.behind_from = std::max(lane.behind_from, covered + 1);
    }
    if (lane.behind_from > lane.behind_last) lane.behind_from = lane.behind_last = 0;
    forget_passed(lane);
    settle(*found);
  }
}

bool Lanes::fits_early() const {
  return early_.size() < kEarlyMax && messages_ < limits_.window_messages_max && bytes_ < limits_.window_bytes_max &&
         early_messages_ < limits_.window_messages_max / 8 && early_bytes_ < limits_.window_bytes_max / 8;
}

bool Lanes::fits(std::size_t eighths) const {
  return messages_ - early_messages_ < limits_.window_messages_max * eighths / 8 &&
         bytes_ - early_bytes_ < limits_.window_bytes_max * eighths / 8;
}

void Lanes::push(Entry& entry, Message&& message, bool early) {
  Lane& lane = entry.second;
  const std::size_t bytes = weight(message.telemetry);
  ++messages_;
  bytes_ += bytes;
  if (early) {
    ++early_messages_;
    early_bytes_ += bytes;
  }
  const bool all_sent = lane.rows.empty() || lane.next == lane.rows.end();
  lane.rows.push_back(Row{.message = std::move(message), .early = early});
  Row& row = lane.rows.back();
  if (lane.rows.size() == 1 && row.message.sequence == lane.parked_sequence) {
    row.attempts = lane.parked_attempts;
    row.stale_retried = lane.parked_stale_retried;
  }
  if (all_sent) lane.next = std::prev(lane.rows.end());
  if (lane.state == State::idle) settle(entry);
  update_ready(entry);
  if (lane.state == State::in_flight) update_following(entry);
}

void Lanes::drop(Lane& lane, Rows::iterator row) {
  --messages_;
  bytes_ -= weight(row->message.telemetry);
  leave_early_room(*row);
  lane.rows.erase(row);
}

void Lanes::leave_early_room(Row& row) {
  if (!std::exchange(row.early, false)) return;
  --early_messages_;
  early_bytes_ -= weight(row.message.telemetry);
}

}  // namespace twinspool::forward
