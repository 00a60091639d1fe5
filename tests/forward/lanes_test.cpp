#include "forward/lanes.h"

#include <algorithm>
#include <deque>
#include <map>

#include "support/catch.h"

namespace twinspool::forward {
namespace {

const TimePoint t0 = TimePoint{} + 1h;
const LaneLimits kSmall{.window_messages_max = 32,
                        .window_bytes_max = 1 << 20,
                        .lane_messages_max = 4,
                        .parked_messages_max = 3,
                        .parked_bytes_max = 1 << 16,
                        .read_messages_max = 8,
                        .read_bytes_max = 1 << 14};

Message message(Sequence sequence, TwinNumber twin) {
  Message made{.sequence = sequence, .twin = twin, .accepted_ms = 0, .telemetry = {}};
  made.telemetry.twin = std::to_string(twin);
  made.telemetry.message_id = std::to_string(sequence);
  made.telemetry.body = "{}";
  return made;
}

// The queue on disk, and what the spool would read from it.
struct Disk {
  std::map<Sequence, TwinNumber> rows;
  Sequence newest = 0;

  std::vector<Message> commit(const std::vector<TwinNumber>& twins) {
    std::vector<Message> fresh;
    for (const TwinNumber twin : twins) {
      rows[++newest] = twin;
      fresh.push_back(message(newest, twin));
    }
    return fresh;
  }

  ReadResult read(const ReadRequest& request) const {
    ReadResult result;
    result.scanned_through = request.after;
    std::size_t scanned = 0;
    for (auto it = rows.upper_bound(request.after); it != rows.end() && it->first <= request.through; ++it) {
      if (scanned++ == request.rows_scanned_max || result.messages.size() == request.messages_max) return result;
      result.scanned_through = it->first;
      if (request.only.empty() || std::binary_search(request.only.begin(), request.only.end(), it->second)) {
        result.messages.push_back(message(it->first, it->second));
      }
    }
    result.reached_end = true;
    return result;
  }
};

struct Fixture {
  explicit Fixture(std::size_t pipeline = 1, const LaneLimits& limits = kSmall)
      : lanes(ForwardOrder::twin, pipeline, QueueEnds{}, limits) {}

  Disk disk;
  Lanes lanes;
  Backoff backoff{RetryConfig{.initial = 1s, .max = 1s, .multiplier = 1}, 1};

  void commit(const std::vector<TwinNumber>& twins) { lanes.on_committed(disk.commit(twins)); }
  void read_all() {
    while (auto request = lanes.next_read()) lanes.on_read(disk.read(*request));
  }
  Sequence take(TimePoint now = t0) { return lanes.message(last = lanes.take(now)).sequence; }
  Sequence follow() {
    const auto lane = lanes.next_to_follow(false);
    REQUIRE(lane);
    return (last = lanes.follow(*lane)).sequence;
  }
  void deliver(const InFlight& sent) {
    disk.rows.erase(sent.sequence);
    lanes.finished(sent, Lanes::Left::delivered);
  }
  Lanes::Waiting hold(const InFlight& sent, TimePoint now = t0) {
    lanes.held_for(sent.lane, 0s, now);
    return lanes.wait(sent, {.held = true, .status = 404, .error_code = "DigitalTwinNotFound"}, backoff, 0s, now);
  }

  InFlight last;
};

struct PipelineFixture : Fixture {
  explicit PipelineFixture(std::size_t pipeline, const LaneLimits& limits = kSmall) : Fixture(pipeline, limits) {}
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a twin has one message in flight, and the oldest head goes first", "[forward][lanes]") {
  commit({1, 1, 2, 3});
  CHECK(take() == 1);
  CHECK(take() == 3);
  CHECK(take() == 4);
  CHECK_FALSE(lanes.any_ready(t0));
  CHECK_FALSE(lanes.next_to_follow(false));
  CHECK(lanes.in_flight() == 3);
  deliver({1, 1});
  CHECK(take() == 2);
}

TEST_CASE_METHOD(Fixture, "a lane with nothing left is forgotten", "[forward][lanes]") {
  commit({1, 2});
  deliver(lanes.take(t0));
  deliver(lanes.take(t0));
  CHECK(lanes.lanes() == 0);
  CHECK(lanes.window_messages() == 0);
  CHECK(lanes.window_bytes() == 0);
  CHECK(lanes.empty());
}

TEST_CASE_METHOD(Fixture, "a message put back is sent again before its followers", "[forward][lanes]") {
  commit({1, 1});
  CHECK(take() == 1);
  CHECK(lanes.attempts(last) == 1);
  lanes.put_back(last);
  CHECK(take() == 1);
  CHECK(lanes.attempts(last) == 2);
  CHECK(lanes.first_stale_retry(last));
  CHECK_FALSE(lanes.first_stale_retry(last));
  deliver(last);
  CHECK(take() == 2);
  CHECK(lanes.attempts(last) == 1);
  CHECK(lanes.first_stale_retry(last));
}

TEST_CASE_METHOD(Fixture, "a held lane waits while the others go on", "[forward][lanes]") {
  commit({1, 2, 1, 2});
  take();
  const auto waiting = hold(last);
  CHECK(waiting.just_began);
  CHECK(waiting.worth_a_note);
  CHECK(lanes.held() == 1);
  CHECK(take() == 2);
  deliver(last);
  CHECK(take() == 4);
  deliver(last);
  CHECK_FALSE(lanes.any_ready(t0));
  CHECK(lanes.next_due() == waiting.retry_at);
  CHECK(lanes.any_ready(waiting.retry_at));
  CHECK(take(waiting.retry_at) == 1);
}

TEST_CASE_METHOD(Fixture, "a held lane keeps its head at most, and catches up from the disk", "[forward][lanes]") {
  commit({1, 1, 1});
  take();
  const auto waiting = hold(last);
  CHECK(lanes.window_messages() == 1);
  commit({1, 1});
  CHECK(lanes.window_messages() == 1);
  CHECK_FALSE(lanes.next_read());  // nothing to read while it waits
  REQUIRE(lanes.any_ready(waiting.retry_at));
  for (Sequence expected = 1; expected <= 5; ++expected) {
    read_all();
    CHECK(take(waiting.retry_at) == expected);
    deliver(last);
  }
  CHECK(lanes.empty());
}

TEST_CASE_METHOD(Fixture, "many held lanes leave even their heads on the disk", "[forward][lanes]") {
  commit({1, 2, 3, 4, 5, 6});
  TimePoint due = t0;
  for (int count = 0; count < 6; ++count) {
    take();
    due = std::max(due, hold(last).retry_at);
  }
  CHECK(lanes.window_messages() == kSmall.parked_messages_max);
  lanes.any_ready(due);
  read_all();
  std::vector<Sequence> taken(6);
  for (Sequence& sequence : taken) {
    sequence = take(due);
    CHECK(lanes.attempts(last) == 2);
  }
  std::sort(taken.begin(), taken.end());
  CHECK(taken == std::vector<Sequence>{1, 2, 3, 4, 5, 6});
}

TEST_CASE_METHOD(Fixture, "a twin with a long backlog does not stand before the others", "[forward][lanes]") {
  std::vector<TwinNumber> twins(100, 1);
  twins.push_back(2);
  commit(twins);
  read_all();
  CHECK(take() == 101);  // they take turns
  CHECK(take() == 1);
  commit({3});
  CHECK(take() == 102);
  CHECK(lanes.window_messages() <= kSmall.lane_messages_max + 2);
}

TEST_CASE_METHOD(Fixture, "a twin without a backlog takes turns with those that have one", "[forward][lanes]") {
  std::vector<TwinNumber> twins;
  for (TwinNumber n = 0; n < 100; ++n) twins.push_back(1 + n % 10);
  commit(twins);  // more than the window holds
  commit({11, 12, 11, 1});
  CHECK(take() == 101);
  CHECK(take() == 1);
  CHECK(take() == 102);
  CHECK(take() == 2);
  CHECK(take() == 3);  // 11 has one in flight
  deliver({11, 101});
  CHECK(take() == 103);
  // Each is sent once, in the order of its twin, though the cursor comes by where those lay that were sent early.
  std::map<LaneId, Sequence> sent{{1, 1}, {2, 2}, {3, 3}, {11, 103}, {12, 102}};
  std::deque<InFlight> flying{{1, 1}, {2, 2}, {3, 3}, {11, 103}, {12, 102}};
  std::size_t count = flying.size() + 1;
  while (!flying.empty()) {
    deliver(flying.front());
    flying.pop_front();
    read_all();
    while (lanes.any_ready(t0)) {
      flying.push_back(lanes.take(t0));
      REQUIRE(flying.back().sequence > std::exchange(sent[flying.back().lane], flying.back().sequence));
      ++count;
    }
  }
  CHECK(count == 104);
  CHECK(lanes.empty());
}

TEST_CASE("twins that turn out to have a backlog leave the room for what comes early to others", "[forward][lanes]") {
  LaneLimits limits = kSmall;
  limits.window_messages_max = 256;  // the room is for 32
  Disk disk;
  Lanes lanes(ForwardOrder::twin, 1, {}, limits);
  std::vector<TwinNumber> twins(161);
  for (std::size_t n = 0; n < twins.size(); ++n) twins[n] = static_cast<TwinNumber>(100 + n);
  lanes.on_committed(disk.commit(twins));
  for (TwinNumber twin = 1; twin <= 9; ++twin) lanes.on_committed(disk.commit({twin, twin, twin, twin, twin, twin}));
  lanes.on_committed(disk.commit({50, 51}));
  CHECK(lanes.window_messages() == 163);  // 50 and 51, and of the nine nothing
  std::map<LaneId, Sequence> sent;
  std::size_t count = 0;
  while (lanes.any_ready(t0)) {
    const InFlight taken = lanes.take(t0);
    REQUIRE(taken.sequence > std::exchange(sent[taken.lane], taken.sequence));
    disk.rows.erase(taken.sequence);
    lanes.finished(taken, Lanes::Left::delivered);
    while (auto request = lanes.next_read()) lanes.on_read(disk.read(*request));
    ++count;
  }
  CHECK(count == twins.size() + 54 + 2);
  CHECK(lanes.empty());
}

TEST_CASE("held twins whose heads came early leave the room for what comes early to others", "[forward][lanes]") {
  LaneLimits limits = kSmall;
  limits.parked_messages_max = 8;
  Fixture f(1, limits);
  std::vector<TwinNumber> twins(20);
  for (std::size_t n = 0; n < twins.size(); ++n) twins[n] = static_cast<TwinNumber>(100 + n);
  f.commit(twins);         // fill the window,
  f.commit({1, 2, 3, 4});  // and these the room
  while (f.lanes.any_ready(t0)) {
    const InFlight sent = f.lanes.take(t0);
    if (sent.lane <= 4)
      f.hold(sent);
    else
      f.deliver(sent);
  }
  f.read_all();
  REQUIRE(f.lanes.caught_up());
  twins.resize(10);
  for (int row = 0; row < 3; ++row) f.commit(twins);  // of few twins: the window is full, and the room is free
  CHECK(f.lanes.ready() == 10);
  f.commit({5});
  CHECK(f.lanes.ready() == 11);
}

TEST_CASE("a twin in flight when its backlog begins leaves the room, too", "[forward][lanes]") {
  LaneLimits limits = kSmall;
  limits.lane_messages_max = 8;
  limits.window_messages_max = 64;
  Fixture f(1, limits);
  std::vector<TwinNumber> twins(40);
  for (std::size_t n = 0; n < twins.size(); ++n) twins[n] = static_cast<TwinNumber>(100 + n);
  f.commit(twins);
  f.commit({1, 1, 1, 1, 1, 1, 1, 1});
  InFlight one;
  while (f.lanes.any_ready(t0)) {
    const InFlight sent = f.lanes.take(t0);
    if (sent.lane == 1) one = sent;
  }
  f.commit({1});
  f.deliver(one);
  CHECK(f.lanes.window_messages() == 40);
  f.commit({50, 51, 52});
  CHECK(f.lanes.ready() == 3);
}

TEST_CASE("a fresh message waits where its twin may have older ones that were not read yet", "[forward][lanes]") {
  LaneLimits limits = kSmall;
  Disk disk;
  const auto next_of = [&](Lanes& lanes) {
    lanes.on_committed(disk.commit({2}));
    return lanes.take(t0).sequence;
  };
  SECTION("of another process") {
    std::vector<TwinNumber> twins(100, 1);
    twins.push_back(2);
    disk.commit(twins);
    Lanes lanes(ForwardOrder::twin, 1, {.oldest = 1, .newest = disk.newest}, limits);
    lanes.on_read(disk.read(*lanes.next_read()));
    CHECK(next_of(lanes) == 1);
    CHECK(lanes.ready() == 0);
  }
  SECTION("behind more twins than are remembered") {
    limits.ahead_twins_max = 3;
    Lanes lanes(ForwardOrder::twin, 1, {}, limits);
    std::vector<TwinNumber> twins(21);
    for (std::size_t n = 0; n < twins.size(); ++n) twins[n] = static_cast<TwinNumber>(10 + n);
    lanes.on_committed(disk.commit(twins));                        // fill the window,
    lanes.on_committed(disk.commit({50, 51, 52, 53, 2, 54, 55}));  // these the room for what comes early and the memory
    while (lanes.any_ready(t0)) lanes.finished(lanes.take(t0), Lanes::Left::delivered);
    lanes.on_committed(disk.commit({2}));
    CHECK_FALSE(lanes.any_ready(t0));
  }
  SECTION("of the twin itself") {
    Lanes lanes(ForwardOrder::twin, 1, {}, limits);
    std::vector<TwinNumber> twins(100);
    for (std::size_t n = 0; n < twins.size(); ++n) twins[n] = static_cast<TwinNumber>(10 + n);
    lanes.on_committed(disk.commit(twins));
    lanes.on_committed(disk.commit({2}));
    for (int n = 0; n < 24; ++n) lanes.finished(lanes.take(t0), Lanes::Left::delivered);
    CHECK_FALSE(lanes.any_ready(t0));
    lanes.on_committed(disk.commit({2}));
    CHECK_FALSE(lanes.any_ready(t0));
  }
}

TEST_CASE_METHOD(Fixture, "a lane whose next row is far away does not keep rows from others that are behind",
                 "[forward][lanes]") {
  commit({1, 3});
  hold(lanes.take(t0));
  hold(lanes.take(t0));
  commit({1});                                // behind the head that waits,
  disk.rows.erase(3);                         // but taken out by an operator
  commit(std::vector<TwinNumber>(30000, 3));  // behind a head that waits on
  commit({1});
  commit({2, 2, 2, 2, 2, 2});  // two more than the lane takes
  for (int sent = 0; sent < 2; ++sent) deliver(lanes.take(t0));
  take(t0 + 2s);
  CHECK(last.lane == 1);
  deliver(last);
  take(t0 + 2s);
  CHECK(last.lane == 3);
  hold(last, t0 + 2s);
  const std::size_t before = lanes.window_messages();
  int reads = 0;
  while (lanes.window_messages() == before) {
    auto request = lanes.next_read();
    REQUIRE(request);
    lanes.on_read(disk.read(*request));
    ++reads;
  }
  CHECK(reads <= 2);  // the way to twin 1's row is eight reads long
}

TEST_CASE("in queue order what is behind is read once", "[forward][lanes]") {
  Disk disk;
  disk.commit(std::vector<TwinNumber>(200, 1));
  Lanes lanes(ForwardOrder::queue, 1, {.oldest = 1, .newest = disk.newest}, kSmall);
  std::size_t rows_read = 0;
  for (Sequence expected = 1; expected <= 200; ++expected) {
    while (auto request = lanes.next_read()) {
      ReadResult result = disk.read(*request);
      rows_read += result.messages.size();
      lanes.on_read(std::move(result));
    }
    REQUIRE(lanes.any_ready(t0));
    const InFlight sent = lanes.take(t0);
    REQUIRE(sent.sequence == expected);
    lanes.finished(sent, Lanes::Left::delivered);
  }
  CHECK(lanes.empty());
  CHECK(rows_read < 220);
}

TEST_CASE("a queue left by an earlier process is read from its oldest row", "[forward][lanes]") {
  Disk disk;
  disk.commit({1, 1, 2, 1});
  disk.rows.erase(1);
  Lanes lanes(ForwardOrder::twin, 1, {.oldest = 2, .newest = 4}, kSmall);
  auto request = lanes.next_read();
  REQUIRE(request);
  CHECK(request->after == 1);
  CHECK(request->through == 4);
  CHECK_FALSE(lanes.next_read());  // one at a time
  lanes.on_committed(disk.commit({3}));
  CHECK_FALSE(lanes.any_ready(t0));  // not before what lies unread before it
  lanes.on_read_failed();
  while ((request = lanes.next_read())) lanes.on_read(disk.read(*request));
  std::vector<Sequence> taken;
  while (lanes.any_ready(t0)) taken.push_back(lanes.take(t0).sequence);
  CHECK(taken == std::vector<Sequence>{2, 3, 5});
}

TEST_CASE("a read that brings the reader no further is reported", "[forward][lanes]") {
  Lanes lanes(ForwardOrder::twin, 1, {.oldest = 1, .newest = 4}, kSmall);
  REQUIRE(lanes.next_read());
  CHECK_FALSE(lanes.on_read(ReadResult{}));
  CHECK(lanes.next_read());
}

TEST_CASE("in queue order one message is in flight, and a held head holds everything", "[forward][lanes]") {
  Disk disk;
  Lanes lanes(ForwardOrder::queue, 1, {}, kSmall);
  Backoff backoff(RetryConfig{}, 1);
  lanes.on_committed(disk.commit({1, 2, 3}));
  const InFlight first = lanes.take(t0);
  CHECK(first.sequence == 1);
  CHECK_FALSE(lanes.any_ready(t0));
  lanes.finished(first, Lanes::Left::delivered);
  const InFlight second = lanes.take(t0);
  CHECK(second.sequence == 2);
  const auto waiting = lanes.wait(second, {.held = true, .status = 404, .error_code = {}}, backoff, 10s, t0);
  CHECK(waiting.retry_at >= t0 + 10s);
  CHECK_FALSE(lanes.any_ready(t0 + 9s));
  CHECK(lanes.waiting_lanes(5).at(0).twin == 2);
}

TEST_CASE_METHOD(Fixture, "of the lanes that wait the held come first, then what has waited longest",
                 "[forward][lanes]") {
  commit({1, 2, 3, 4});
  std::vector<InFlight> sent;
  while (lanes.any_ready(t0)) sent.push_back(lanes.take(t0));
  REQUIRE(sent.size() == 4);
  const Lanes::Wait failed{.held = false, .status = 500, .error_code = "InternalError"};
  lanes.wait(sent[0], failed, backoff, 1min, t0 + 1s);
  lanes.wait(sent[1], failed, backoff, 1min, t0);
  hold(sent[2], t0 + 3s);
  hold(sent[3], t0 + 2s);
  std::vector<TwinNumber> order;
  for (const Lanes::WaitingLane& lane : lanes.waiting_lanes(10)) order.push_back(lane.twin);
  CHECK(order == std::vector<TwinNumber>{4, 3, 2, 1});
  REQUIRE(lanes.waiting_lanes(1).size() == 1);
  const Lanes::WaitingLane first = lanes.waiting_lanes(1).at(0);
  CHECK(first.since == t0 + 2s);
  CHECK(first.wait.status == 404);
  CHECK(first.failures == 1);
}

TEST_CASE_METHOD(Fixture, "failures are counted until a delivery, and noted when they double", "[forward][lanes]") {
  commit({1, 1, 1});
  TimePoint now = t0;
  std::vector<std::uint32_t> noted;
  for (std::uint32_t failure = 1; failure <= 9; ++failure) {
    REQUIRE(lanes.any_ready(now));
    take(now);
    const auto waiting = hold(last, now);
    CHECK(waiting.failures == failure);
    CHECK(waiting.since == t0);
    CHECK(waiting.just_began == (failure == 1));
    if (waiting.worth_a_note) noted.push_back(failure);
    now = waiting.retry_at;
  }
  CHECK(noted == std::vector<std::uint32_t>{1, 2, 4, 8});
  REQUIRE(lanes.any_ready(now));
  take(now);
  lanes.finished(last, Lanes::Left::quarantined);
  CHECK(lanes.take_ended_notes().empty());
  read_all();
  take(now);
  CHECK(lanes.held_for(last.lane, 0s, now) == now - t0);  // the next one does not start from nothing
  deliver(last);
  CHECK(lanes.take_ended_notes() == std::vector<TwinNumber>{1});
  CHECK(lanes.take_ended_notes().empty());
  read_all();
  take(now);
  CHECK(hold(last, now).failures == 1);
}

TEST_CASE_METHOD(Fixture, "a single failure of the service is not worth a note", "[forward][lanes]") {
  commit({1});
  take();
  const Lanes::Wait wait{.held = false, .status = 500, .error_code = {}};
  auto waiting = lanes.wait(last, wait, backoff, 0s, t0);
  CHECK_FALSE(waiting.worth_a_note);
  CHECK(lanes.retrying() == 1);
  take(waiting.retry_at);
  CHECK(lanes.wait(last, wait, backoff, 0s, waiting.retry_at).worth_a_note);
}

TEST_CASE_METHOD(Fixture, "time that an earlier process held the lane counts", "[forward][lanes]") {
  commit({1});
  take();
  CHECK(lanes.held_for(last.lane, 5h, t0) == 5h);
  CHECK(lanes.held_for(last.lane, 9h, t0 + 1h) == 6h);
}

TEST_CASE_METHOD(Fixture, "a kick ends every wait", "[forward][lanes]") {
  commit({1, 2});
  for (int count = 0; count < 2; ++count) {
    take();
    hold(last);
  }
  CHECK_FALSE(lanes.any_ready(t0));
  lanes.kick();
  CHECK(lanes.ready() == 2);
  CHECK(lanes.next_due() == kNever);
}

TEST_CASE("with a pipeline the next of a twin follow without waiting, and no more than it", "[forward][lanes]") {
  PipelineFixture f(3);
  f.commit({1, 1, 1, 1, 1, 2});
  CHECK(f.take() == 1);
  CHECK(f.follow() == 2);
  CHECK(f.follow() == 3);
  CHECK_FALSE(f.lanes.next_to_follow(false));
  CHECK(f.lanes.in_flight() == 3);
  CHECK(f.lanes.lanes_in_flight() == 1);
  f.deliver({1, 1});
  CHECK(f.follow() == 4);
  CHECK(f.take() == 6);
  f.commit({2});
  CHECK(f.follow() == 7);  // a fresh one goes at once, too
}

TEST_CASE("of a pipeline the refused one stays while those behind it leave, and then goes first", "[forward][lanes]") {
  PipelineFixture f(3);
  f.commit({1, 1, 1, 1, 1});
  f.take();
  f.follow();
  f.follow();
  f.deliver({1, 1});
  const auto waiting = f.hold({1, 2});
  CHECK_FALSE(f.lanes.next_to_follow(false));  // 4 does not overtake 2 any more
  CHECK(f.lanes.held() == 0);                  // 3 is still under way
  f.deliver({1, 3});
  CHECK(f.lanes.held() == 1);
  CHECK_FALSE(f.lanes.any_ready(t0));
  REQUIRE(f.lanes.any_ready(waiting.retry_at));
  CHECK(f.take(waiting.retry_at) == 2);
  CHECK(f.lanes.attempts(f.last) == 2);
  f.read_all();
  CHECK_FALSE(f.lanes.next_to_follow(false));  // one at a time until the cloud takes one
  f.deliver(f.last);
  CHECK(f.take(waiting.retry_at) == 4);
  CHECK(f.follow() == 5);
}

TEST_CASE("what left a pipeline before its refused head is not sent again from the disk", "[forward][lanes]") {
  LaneLimits limits = kSmall;
  limits.parked_messages_max = 0;  // not even the head stays in memory
  PipelineFixture f(3, limits);
  f.commit({1, 1, 1});
  f.take();
  f.follow();
  f.follow();
  const auto waiting = f.hold({1, 1});
  f.lanes.finished({1, 2}, Lanes::Left::delivered);  // its record is not on disk yet
  f.deliver({1, 3});
  REQUIRE(f.lanes.any_ready(waiting.retry_at) == false);
  f.read_all();
  CHECK(f.take(waiting.retry_at) == 1);
  CHECK(f.lanes.attempts(f.last) == 2);
  f.deliver(f.last);
  f.read_all();
  CHECK(f.lanes.empty());
}

TEST_CASE("what a lost connection leaves unanswered is sent again in its order", "[forward][lanes]") {
  PipelineFixture f(3);
  f.commit({1, 1, 1, 1});
  f.take();
  f.follow();
  f.follow();
  for (const Sequence sequence : {1, 2, 3}) f.lanes.put_back({1, sequence});
  CHECK(f.take() == 1);
  CHECK(f.follow() == 2);
  CHECK(f.follow() == 3);
  CHECK(f.lanes.attempts({1, 3}) == 2);
}

TEST_CASE("refused together is one failure", "[forward][lanes]") {
  PipelineFixture f(3);
  f.commit({1, 1, 1});
  f.take();
  f.follow();
  f.follow();
  CHECK(f.hold({1, 1}).failures == 1);
  const auto second = f.hold({1, 2});
  CHECK(second.failures == 1);
  CHECK_FALSE(second.just_began);
  CHECK_FALSE(second.worth_a_note);
  CHECK(f.hold({1, 3}).failures == 1);
  CHECK(f.lanes.held() == 1);
}

TEST_CASE("a lane that has sent a whole pipeline gives way to an older head that waits for a connection",
          "[forward][lanes]") {
  PipelineFixture f(2);
  f.commit({1, 2, 1, 1, 1, 2});
  CHECK(f.take() == 1);
  CHECK(f.follow() == 3);  // its turn is two messages
  f.deliver({1, 1});
  CHECK(f.lanes.next_to_follow(false) == LaneId{1});
  CHECK_FALSE(f.lanes.next_to_follow(true));
  CHECK_FALSE(f.lanes.next_to_follow(false));  // it drains
  f.deliver({1, 3});
  CHECK(f.take() == 2);
  CHECK(f.take() == 4);
}

// The promise, against a model: whatever is committed, read, taken, held, put back and dropped in whatever order, each
// twin's messages are taken in sequence order, none skipped, none again after it left. With a pipeline, those that are
// in flight may leave before an older one that was refused; nothing else may.
TEST_CASE("in no order of events is a message of a twin skipped, repeated or overtaken", "[forward][lanes][model]") {
  const unsigned seeds = 1500;
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    std::uint64_t random = seed;
    const auto below = [&](std::uint64_t limit) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      return random % limit;
    };
    const ForwardOrder order = below(6) == 0 ? ForwardOrder::queue : ForwardOrder::twin;
    LaneLimits limits = kSmall;
    limits.lane_messages_max = 1 + below(5);
    limits.read_messages_max = 1 + below(12);
    limits.parked_messages_max = below(4);
    limits.window_messages_max = 16 + below(16);
    limits.ahead_twins_max = 1 + below(12);
    const auto twin_count = static_cast<TwinNumber>(1 + below(12));

    Disk disk;
    enum class Is : std::uint8_t { waiting, in_flight, refused };
    std::map<LaneId, std::map<Sequence, Is>> expected;  // what has not left, by lane
    const auto expect = [&](const std::vector<Message>& messages) {
      for (const Message& m : messages) expected[order == ForwardOrder::queue ? 0 : m.twin][m.sequence] = Is::waiting;
    };
    // A lane begins with its head, with nothing in flight; others follow in their order, unless one was refused.
    const auto may_send = [&](const InFlight& sent, bool begins) {
      auto& lane = expected[sent.lane];
      const auto any = [&](Is wanted) {
        return std::any_of(lane.begin(), lane.end(), [&](const auto& row) { return row.second == wanted; });
      };
      if (any(begins ? Is::in_flight : Is::refused)) return false;
      if (begins) std::for_each(lane.begin(), lane.end(), [](auto& row) { row.second = Is::waiting; });
      const auto due =
          std::find_if(lane.begin(), lane.end(), [](const auto& row) { return row.second == Is::waiting; });
      if (due == lane.end() || due->first != sent.sequence) return false;
      due->second = Is::in_flight;
      return true;
    };
    const auto some_twins = [&] {
      std::vector<TwinNumber> twins(below(9));
      for (TwinNumber& twin : twins) twin = 1 + static_cast<TwinNumber>(below(3) == 0 ? 0 : below(twin_count));
      return twins;
    };
    expect(disk.commit(some_twins()));
    const std::size_t pipeline = below(2) == 0 ? 1 : 1 + below(6);
    Lanes lanes(order, pipeline, {.oldest = disk.rows.empty() ? 0U : 1U, .newest = disk.newest}, limits);
    Backoff backoff(RetryConfig{.initial = 1s, .max = 5s, .multiplier = 2}, seed);
    TimePoint now = t0;
    std::map<LaneId, std::deque<InFlight>> flying;  // in the order in which they will be answered
    std::optional<ReadRequest> reading;
    std::optional<ReadResult> read;
    bool ok = true;

    const auto step = [&](bool draining) {
      switch (below(8)) {
        case 0:
          if (!draining) {
            auto fresh = disk.commit(some_twins());
            expect(fresh);
            lanes.on_committed(std::move(fresh));
          }
          return;
        case 1:
          if (!reading) reading = lanes.next_read();
          return;
        case 2:  // the writer thread reads now; the loop hears of it later
          if (reading && !read) {
            reading->rows_scanned_max = 1 + below(30);
            read = disk.read(*reading);
          }
          return;
        case 3:
          if (read) {
            lanes.on_read(std::move(*read));
            read.reset();
            reading.reset();
          } else if (reading && below(10) == 0) {
            lanes.on_read_failed();
            reading.reset();
          }
          return;
        case 4:
        case 5:
          if (lanes.any_ready(now) && below(2) == 0) {
            const InFlight sent = lanes.take(now);
            flying[sent.lane].push_back(sent);
            ok = ok && may_send(sent, true);
          } else if (const auto lane = lanes.next_to_follow(below(2) == 0)) {
            const InFlight sent = lanes.follow(*lane);
            flying[sent.lane].push_back(sent);
            ok = ok && may_send(sent, false) && flying[sent.lane].size() <= pipeline;
          }
          return;
        case 6:
          if (!flying.empty()) {
            auto lane = std::next(flying.begin(), static_cast<std::ptrdiff_t>(below(flying.size())));
            const InFlight sent = lane->second.front();
            lane->second.pop_front();
            if (lane->second.empty()) flying.erase(lane);
            switch (draining ? 0 : below(5)) {
              default:
                expected[sent.lane].erase(sent.sequence);
                // The record of a delivery may reach the disk late: the row is then read once more, and must not be
                // sent.
                if (below(2) == 0) disk.rows.erase(sent.sequence);
                lanes.finished(sent, below(4) == 0 ? Lanes::Left::quarantined : Lanes::Left::delivered);
                return;
              case 1:
                expected[sent.lane][sent.sequence] = Is::refused;
                lanes.put_back(sent);
                return;
              case 2:
                expected[sent.lane][sent.sequence] = Is::refused;
                lanes.wait(sent, {.held = below(2) == 0, .status = 404, .error_code = {}}, backoff, 0s, now);
                return;
            }
          }
          return;
        default:
          now += std::chrono::milliseconds(below(2000));
          if (below(20) == 0) lanes.kick();
          return;
      }
    };

    for (int count = 0; count < 250 && ok; ++count) {
      step(false);
      ok = ok && lanes.window_messages() <= limits.window_messages_max;
      if (order == ForwardOrder::queue) ok = ok && lanes.in_flight() <= pipeline;
    }
    const auto left = [&] {
      return std::any_of(expected.begin(), expected.end(), [](const auto& lane) { return !lane.second.empty(); });
    };
    for (int count = 0; count < 100'000 && ok && (left() || reading || !lanes.empty()); ++count) step(true);
    if (!ok || left() || !lanes.empty() || lanes.window_messages() != 0 || lanes.window_bytes() != 0 ||
        lanes.lanes() != 0) {
      FAIL("seed " << seed << " ok=" << ok << " left=" << left() << " lanes=" << lanes.lanes()
                   << " window=" << lanes.window_messages() << " caught_up=" << lanes.caught_up()
                   << " flying=" << flying.size() << " ready=" << lanes.ready() << " in_flight=" << lanes.in_flight()
                   << " reading=" << reading.has_value() << " read=" << read.has_value()
                   << " waiting=" << lanes.held() + lanes.retrying() << " rows=" << disk.rows.size());
    }
  }
}

}  // namespace twinspool::forward
