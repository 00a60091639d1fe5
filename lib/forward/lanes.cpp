#include "forward/lanes.h"

#include <algorithm>
#include <tuple>

namespace twinspool::forward {

namespace {

// Answers come in the order in which the messages went: it is the first, or behind those that were refused.
template <class Rows>
auto find_row(Rows& rows, Sequence sequence) {
  return std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.message.sequence == sequence; });
}

bool is_power_of_two(std::uint32_t number) { return (number & (number - 1)) == 0; }

}  // namespace

// --- out of the window ---

bool Lanes::any_ready(TimePoint now) {
  while (!waiting_.empty() && waiting_.begin()->first <= now) end_wait(at(waiting_.begin()->second));
  return ready() > 0;
}

InFlight Lanes::take(TimePoint now) {
  ENSURE(any_ready(now));
  const bool fresh = !ready_fresh_.empty() && (fresh_goes_next_ || ready_.empty());
  fresh_goes_next_ = !fresh;
  auto& from = fresh ? ready_fresh_ : ready_;
  Entry& entry = at(from.begin()->second);
  from.erase(from.begin());
  entry.second.state = State::in_flight;
  entry.second.turn = 0;
  ++lanes_in_flight_;
  return send_next(entry);
}

std::optional<LaneId> Lanes::next_to_follow(bool others_wait) {
  while (!following_.empty()) {
    const auto [next, id] = *following_.begin();
    const bool gives_way = !ready_fresh_.empty() || (!ready_.empty() && ready_.begin()->first < next);
    if (!others_wait || !gives_way || at(id).second.turn < pipeline_) return id;
    end_turn(id);
  }
  return std::nullopt;
}

void Lanes::end_turn(LaneId id) {
  Entry& entry = at(id);
  ENSURE(entry.second.state == State::in_flight);
  entry.second.draining = true;
  update_following(entry);
}

const Message& Lanes::peek(LaneId id) const { return lanes_.at(id).next->message; }

InFlight Lanes::follow(LaneId id) {
  Entry& entry = at(id);
  ENSURE(entry.second.following_at != 0);
  return send_next(entry);
}

InFlight Lanes::send_next(Entry& entry) {
  Lane& lane = entry.second;
  Row& row = *lane.next++;
  row.in_flight = true;
  ++row.attempts;
  ++lane.in_flight;
  ++lane.turn;
  ++in_flight_;
  update_following(entry);
  return {entry.first, row.message.sequence};
}

Lanes::Rows::iterator Lanes::row_of(Lane& lane, Sequence sequence) {
  const auto row = find_row(lane.rows, sequence);
  ENSURE(row != lane.rows.end() && row->in_flight);
  return row;
}

const Lanes::Row& Lanes::row(const InFlight& sent) const {
  const Rows& rows = lanes_.at(sent.lane).rows;
  const auto found = find_row(rows, sent.sequence);
  ENSURE(found != rows.end() && found->in_flight);
  return *found;
}

const Message& Lanes::message(const InFlight& sent) const { return row(sent).message; }

std::uint32_t Lanes::attempts(const InFlight& sent) const { return row(sent).attempts; }

bool Lanes::first_stale_retry(const InFlight& sent) {
  return !std::exchange(row_of(at(sent.lane).second, sent.sequence)->stale_retried, true);
}

void Lanes::put_back(const InFlight& sent) {
  Entry& entry = at(sent.lane);
  answered(entry, row_of(entry.second, sent.sequence), true);
}

void Lanes::finished(const InFlight& sent, Left left) {
  Entry& entry = at(sent.lane);
  Lane& lane = entry.second;
  const auto row = row_of(lane, sent.sequence);
  if (left == Left::delivered && !lane.will_wait) {
    if (lane.noted) ended_notes_.push_back(lane.twin);
    lane.noted = false;
    lane.failures = 0;
    lane.wait = Wait{};
    lane.failing_since = lane.held_since = kNever;
  }
  if (row != lane.rows.begin()) {
    lane.left_ahead.insert(std::upper_bound(lane.left_ahead.begin(), lane.left_ahead.end(), sent.sequence),
                           sent.sequence);
  }
  answered(entry, row, false);
}

// What a lane that is in flight does next is known when all of it is answered.
void Lanes::answered(Entry& entry, Rows::iterator row, bool stays) {
  Lane& lane = entry.second;
  --in_flight_;
  --lane.in_flight;
  if (stays) {
    row->in_flight = false;
    lane.draining = true;
  } else {
    drop(lane, row);
  }
  if (lane.in_flight > 0) {
    update_following(entry);
    update_hunger(entry);
    return;
  }
  --lanes_in_flight_;
  lane.draining = false;
  lane.next = lane.rows.begin();
  lane.state = State::idle;
  update_following(entry);
  if (std::exchange(lane.will_wait, false)) return begin_wait(entry);
  forget_passed(lane);
  settle(entry);
}

// Gives a lane that is at rest the state that follows from what it has, or forgets it.
void Lanes::settle(Entry& entry) {
  Lane& lane = entry.second;
  // It has a backlog after all: what came early makes room for others.
  if (lane.state == State::idle && came_early(lane) && may_be_ahead(entry.first)) give_back(lane, false);
  if (lane.state == State::idle && !lane.rows.empty()) {
    lane.state = State::ready;
    lane.ready_fresh = is_fresh(entry);
    (lane.ready_fresh ? ready_fresh_ : ready_).emplace(lane.rows.front().message.sequence, entry.first);
  }
  update_hunger(entry);
  if (lane.state != State::idle || lane.behind_from != 0) return;
  if (lane.noted) ended_notes_.push_back(lane.twin);
  lanes_.erase(entry.first);
}

bool Lanes::is_fresh(const Entry& entry) const {
  const Lane& lane = entry.second;
  return !lane.was_read && lane.behind_from == 0 && lane.rows.size() <= kFreshRowsMax && !may_be_ahead(entry.first);
}

// What came for it may be a backlog by now.
void Lanes::update_ready(Entry& entry) {
  Lane& lane = entry.second;
  if (lane.state != State::ready || !lane.ready_fresh || is_fresh(entry)) return;
  ready_fresh_.erase({lane.rows.front().message.sequence, entry.first});
  lane.state = State::idle;
  settle(entry);
}

void Lanes::update_hunger(Entry& entry) {
  Lane& lane = entry.second;
  const bool hungry = lane.state != State::waiting && lane.rows.size() <= lane_messages_max_ / 2;
  const Sequence wanted = hungry ? lane.behind_from : 0;
  if (wanted == lane.hungry_at) return;
  if (lane.hungry_at != 0) hungry_.erase({lane.hungry_at, entry.first});
  if (wanted != 0) hungry_.emplace(wanted, entry.first);
  lane.hungry_at = wanted;
}

void Lanes::update_following(Entry& entry) {
  Lane& lane = entry.second;
  const bool may_follow = lane.state == State::in_flight && !lane.draining && lane.failures == 0 &&
                          lane.in_flight < pipeline_ && lane.next != lane.rows.end();
  const Sequence wanted = may_follow ? lane.next->message.sequence : 0;
  if (wanted == lane.following_at) return;
  if (lane.following_at != 0) following_.erase({lane.following_at, entry.first});
  if (wanted != 0) following_.emplace(wanted, entry.first);
  lane.following_at = wanted;
}

// --- lanes that wait ---

Lanes::Waiting Lanes::wait(const InFlight& sent, const Wait& wait, Backoff& backoff, Duration retry_after,
                           TimePoint now) {
  Entry& entry = at(sent.lane);
  Lane& lane = entry.second;
  const auto row = row_of(lane, sent.sequence);
  Waiting result;
  if (!lane.will_wait) {
    lane.will_wait = true;
    ++lane.failures;
    lane.twin = row->message.twin;
    if (lane.failing_since == kNever) lane.failing_since = now;
    result.just_began = lane.failures == 1 || wait.held != lane.wait.held;
    const bool changed =
        wait.held != lane.wait.held || wait.status != lane.wait.status || wait.error_code != lane.wait.error_code;
    // A single 500 is over before anybody could read its note.
    result.worth_a_note =
        (wait.held || lane.failures > 1) && (!lane.noted || changed || is_power_of_two(lane.failures));
    lane.noted = lane.noted || result.worth_a_note;
    lane.wait = wait;
    lane.retry_at = now + backoff.delay(lane.failures, retry_after);
  }
  result.failures = lane.failures;
  result.retry_at = lane.retry_at;
  result.since = wait.held && lane.held_since != kNever ? lane.held_since : lane.failing_since;
  answered(entry, row, true);
  return result;
}

// A row that left ahead matters while one before it may go back to the disk.
void Lanes::forget_passed(Lane& lane) {
  if (lane.left_ahead.empty()) return;
  const Sequence oldest = lane.rows.empty() ? lane.behind_from : lane.rows.front().message.sequence;
  if (oldest == 0) return lane.left_ahead.clear();
  lane.left_ahead.erase(lane.left_ahead.begin(),
                        std::lower_bound(lane.left_ahead.begin(), lane.left_ahead.end(), oldest));
}

void Lanes::begin_wait(Entry& entry) {
  Lane& lane = entry.second;
  lane.state = State::waiting;
  waiting_.emplace(lane.retry_at, entry.first);
  if (lane.wait.held) ++held_;
  shed(lane);
  forget_passed(lane);
  update_hunger(entry);
}

// A lane that waits keeps its head at the most, so that those that flow have the window.
void Lanes::shed(Lane& lane) {
  Row& head = lane.rows.front();
  const std::size_t head_bytes = weight(head.message.telemetry);
  const bool keep_head =
      parked_messages_ < limits_.parked_messages_max && parked_bytes_ + head_bytes <= limits_.parked_bytes_max;
  give_back(lane, keep_head);
  if (!keep_head) return;
  leave_early_room(head);
  ++parked_messages_;
  parked_bytes_ += head_bytes;
}

// To the disk, from where they are read again.
void Lanes::give_back(Lane& lane, bool keep_head) {
  const Row& head = lane.rows.front();
  if (!keep_head) {
    lane.parked_sequence = head.message.sequence;
    lane.parked_attempts = head.attempts;
    lane.parked_stale_retried = head.stale_retried;
  }
  while (lane.rows.size() > (keep_head ? 1U : 0U)) {
    lane.behind_from = lane.rows.back().message.sequence;
    lane.behind_last = std::max(lane.behind_last, lane.behind_from);
    drop(lane, std::prev(lane.rows.end()));
  }
  lane.next = lane.rows.begin();
}

void Lanes::end_wait(Entry& entry) {
  Lane& lane = entry.second;
  waiting_.erase({lane.retry_at, entry.first});
  if (lane.wait.held) --held_;
  if (!lane.rows.empty()) {
    --parked_messages_;
    parked_bytes_ -= weight(lane.rows.front().message.telemetry);
  }
  lane.retry_at = kNever;
  lane.state = State::idle;
  settle(entry);
}

Duration Lanes::held_for(LaneId id, Duration held_before, TimePoint now) {
  Lane& lane = at(id).second;
  if (lane.held_since == kNever) lane.held_since = now - held_before;
  return now - lane.held_since;
}

void Lanes::kick() {
  while (!waiting_.empty()) end_wait(at(waiting_.begin()->second));
}

TimePoint Lanes::next_due() const { return waiting_.empty() ? kNever : waiting_.begin()->first; }

std::vector<Lanes::WaitingLane> Lanes::waiting_lanes(std::size_t most) const {
  std::vector<WaitingLane> list;
  list.reserve(waiting_.size());
  for (const auto& [retry_at, id] : waiting_) {
    const Lane& lane = lanes_.at(id);
    const bool held = lane.wait.held && lane.held_since != kNever;
    list.push_back({.twin = lane.twin,
                    .wait = lane.wait,
                    .failures = lane.failures,
                    .since = held ? lane.held_since : lane.failing_since,
                    .retry_at = lane.retry_at});
  }
  const auto end = list.begin() + static_cast<std::ptrdiff_t>(std::min(most, list.size()));
  std::partial_sort(list.begin(), end, list.end(), [](const WaitingLane& a, const WaitingLane& b) {
    return std::tuple(!a.wait.held, a.since, a.twin) < std::tuple(!b.wait.held, b.since, b.twin);
  });
  list.erase(end, list.end());
  return list;
}

Lanes::Entry& Lanes::at(LaneId id) {
  const auto found = lanes_.find(id);
  ENSURE(found != lanes_.end());
  return *found;
}

}  // namespace twinspool::forward
