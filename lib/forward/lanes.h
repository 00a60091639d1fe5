// Which twin may send now, and what of the queue is in memory. Pure: time is an argument, and rows come and go as
// values.
//
//   idle → ready → in_flight → ready (next message) or waiting (held or retrying) → ready
//
// One lane a twin, and of the ready lanes the one with the oldest head first. But fresh lanes, whose few messages came
// straight from their commits and are all that is queued of them, take turns with the others: after an outage a twin
// that has no backlog does not wait for that of those that have. With ForwardOrder::queue the whole queue is one lane.
//
// A lane has one message in flight, or, with a pipeline of N, up to N: the caller sends them on one connection, so that
// the cloud sees them in order. Each is answered for itself. One that is refused stays, and so do those that a lost
// connection leaves unanswered; nothing more of the lane is sent until all in flight are answered, and then it goes on
// from the oldest that stayed. After a refusal that made the lane wait it sends one at a time until the cloud took one.
//
// The window. A cursor goes once over the queue, from its front to its newest row; each row goes into its lane, or is
// passed over where the lane is full, waits, or is behind already. Fresh messages go straight into their lanes when the
// cursor has reached them. A lane remembers the first and the last row that was passed over (behind_from, behind_last)
// and reads them again, together with other lanes that are behind, once it flows and its messages in memory run low. So
// a lane with a huge backlog, or one that is held, stands in nobody's way, and memory does not grow with the queue. A
// lane of which nothing is known is forgotten; it has no unread row at or before the cursor.
//
// While the cursor is not at the end, a message that comes in goes into its lane at once if nothing else of its twin
// waits, and a few behind it: they came early, and the cursor passes over them. Which twins have rows ahead of the
// cursor is known from the commits. It is not known of the rows that were there before us, so until the cursor is
// through with those every message waits for it.
//
// Memory: at most LaneLimits of messages, some 200 bytes for each twin that waits or is behind, some 50 for each of
// kAheadTwinsMax that are ahead of the cursor, and 8 for each of kEarlyMax that it is still to pass over.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/config.h"
#include "forward/backoff.h"
#include "spool/spool.h"
#include "util/time.h"

namespace twinspool::forward {

constexpr std::size_t kWindowMessagesMax = 8192;  // in memory, all lanes together
constexpr std::size_t kWindowBytesMax = 8 << 20;  // by weight(): the window and all else stay under 24 MiB resident
constexpr std::size_t kLaneMessagesMax = 64;      // of one lane
constexpr std::size_t kParkedMessagesMax = 2048;  // heads of waiting lanes; above it they wait on disk
constexpr std::size_t kParkedBytesMax = 2 << 20;
constexpr std::size_t kReadMessagesMax = 1024;  // of one read-ahead
constexpr std::size_t kReadBytesMax = 1 << 20;
constexpr std::size_t kCatchUpLanesMax = 256;  // that share one read
constexpr std::size_t kFreshRowsMax = 8;       // a lane with more has a backlog
constexpr std::size_t kEarlyMax = 131'072;
constexpr std::size_t kAheadTwinsMax = 65'536;

struct LaneLimits {
  std::size_t window_messages_max = kWindowMessagesMax;
  std::size_t window_bytes_max = kWindowBytesMax;
  std::size_t lane_messages_max = kLaneMessagesMax;
  std::size_t parked_messages_max = kParkedMessagesMax;
  std::size_t parked_bytes_max = kParkedBytesMax;
  std::size_t ahead_twins_max = kAheadTwinsMax;
  std::size_t read_messages_max = kReadMessagesMax;
  std::size_t read_bytes_max = kReadBytesMax;
};

using LaneId = std::uint64_t;  // the TwinNumber; 0 for all with ForwardOrder::queue

struct InFlight {  // one message on its way
  LaneId lane = 0;
  Sequence sequence = 0;
  friend bool operator==(const InFlight&, const InFlight&) = default;
};

struct QueueEnds {      // before on_committed() begins to hear of what is committed
  Sequence oldest = 0;  // 0: the queue is empty
  Sequence newest = 0;  // the last one ever given
};

class Lanes {
 public:
  // `pipeline`: messages of one lane in flight at once.
  Lanes(ForwardOrder order, std::size_t pipeline, const QueueEnds& ends, const LaneLimits& limits = {});
  Lanes(Lanes&&) = delete;

  // What is in memory comes from here.
  void on_committed(std::vector<Message>&& messages);
  std::optional<ReadRequest> next_read();  // nullopt: nothing to read, no room, or one is under way already
  bool on_read(ReadResult&& result);       // of the newest next_read(); false: it brought the reader no further
  void on_read_failed();                   // it will be asked for again
  bool reading() const { return read_.has_value(); }

  // What is sent.
  bool any_ready(TimePoint now);  // a lane whose wait is over is ready
  std::size_t ready() const { return ready_.size() + ready_fresh_.size(); }
  bool any_to_follow() const { return !following_.empty(); }  // a lane in flight may have one more
  InFlight take(TimePoint now);  // the head of the ready lane whose turn it is; only while any_ready()
  // Of the lanes in flight that may have one more, the one whose next message is the oldest. A lane that has sent a
  // whole pipeline gives way where `others_wait` for a connection, fresh or with an older head: it ends what it has in
  // flight first.
  std::optional<LaneId> next_to_follow(bool others_wait);
  const Message& peek(LaneId id) const;  // what follow() would send
  InFlight follow(LaneId id);
  void end_turn(LaneId id);  // of a lane in flight: it sends no more before all is answered
  const Message& message(const InFlight& sent) const;
  std::uint32_t attempts(const InFlight& sent) const;  // this one included (those of this process)
  bool first_stale_retry(const InFlight& sent);  // true once a message: it was sent on a connection that was closed
                                                 // meanwhile

  // How it ended, once for each that went in flight.
  void put_back(const InFlight& sent);  // to be sent again as soon as anything may be sent
  enum class Left : std::uint8_t { delivered, quarantined, dropped };
  void finished(const InFlight& sent, Left left);

  // The lane waits, once all it has in flight is answered. Failures are counted until a delivery; what is refused
  // together is one failure.
  struct Wait {
    bool held = false;  // the twin does not exist, else: retrying
    int status = 0;
    std::string error_code;
  };
  struct Waiting {
    std::uint32_t failures = 0;
    bool just_began = false;    // it flowed until now
    bool worth_a_note = false;  // began, changed, or the failures doubled: notes are writes
    TimePoint since{};          // of a held lane the first hold, else the first failure, since the last delivery
    TimePoint retry_at{};
  };
  Waiting wait(const InFlight& sent, const Wait& wait, Backoff& backoff, Duration retry_after, TimePoint now);

  // How long the lane's head has been held: since the first hold without a delivery after it. `held_before`: how long
  // earlier processes held the lane, counted at its first hold in this one.
  Duration held_for(LaneId id, Duration held_before, TimePoint now);

  // Twins whose wait was noted and is over, each once.
  std::vector<TwinNumber> take_ended_notes() { return std::exchange(ended_notes_, {}); }

  void kick();  // every waiting lane may try now

  // What is going on.
  TimePoint next_due() const;  // kNever: no lane waits
  bool caught_up() const { return cursor_ >= newest_; }
  bool empty() const { return lanes_.empty() && caught_up(); }
  std::size_t in_flight() const { return in_flight_; }  // messages
  std::size_t lanes_in_flight() const { return lanes_in_flight_; }
  std::size_t held() const { return held_; }
  std::size_t retrying() const { return waiting_.size() - held_; }
  std::size_t lanes() const { return lanes_.size(); }
  std::size_t window_messages() const { return messages_; }
  std::size_t window_bytes() const { return bytes_; }

  struct WaitingLane {
    TwinNumber twin = 0;
    Wait wait;
    std::uint32_t failures = 0;
    TimePoint since{};
    TimePoint retry_at{};
  };
  // The greatest troubles first: held before retrying, and of these what has waited longest.
  std::vector<WaitingLane> waiting_lanes(std::size_t most) const;

 private:
  enum class State : std::uint8_t { idle, ready, in_flight, waiting };

  struct Row {
    Message message;
    std::uint32_t attempts = 0;
    bool stale_retried = false;
    bool in_flight = false;
    bool early = false;  // the cursor was still to come by when it came, and it counts as early
  };
  using Rows = std::list<Row>;

  struct Lane {
    Rows rows;                  // in sequence order, none missing before behind_from: those that were refused or are in
    Rows::iterator next{};      // flight, then from `next` on those that wait for their turn
    Sequence behind_from = 0;   // first row that is not in memory; 0: all known rows are
    Sequence behind_last = 0;   // last row known to be there
    Sequence hungry_at = 0;     // its key in hungry_; 0: not there
    Sequence following_at = 0;  // its key in following_; 0: not there
    State state = State::idle;
    bool catching_up = false;  // while rows of a read are handed out
    bool draining = false;     // in flight, and nothing more is sent before all is answered
    bool will_wait = false;    // then it waits
    bool noted = false;
    bool ready_fresh = false;     // its key is in ready_fresh_
    bool was_read = false;        // a row of it, from the disk: it had a backlog, and has until it is empty
    std::uint32_t in_flight = 0;  // messages
    std::uint32_t turn = 0;       // messages sent since it went in flight
    // What is known of a head that was given back to the disk.
    Sequence parked_sequence = 0;
    std::uint32_t parked_attempts = 0;
    bool parked_stale_retried = false;
    // Rows that left before an older one did. Their records may not be on disk yet when that one's are read again.
    std::vector<Sequence> left_ahead;
    std::uint32_t failures = 0;
    TwinNumber twin = 0;  // of the head that failed last
    Wait wait;
    TimePoint failing_since = kNever;
    TimePoint held_since = kNever;
    TimePoint retry_at = kNever;
  };
  using Entry = std::unordered_map<LaneId, Lane>::value_type;

  struct CatchUp {
    LaneId id = 0;
    Sequence from = 0;  // behind_from when the read was asked for
  };
  struct Read {  // under way
    Sequence after = 0;
    Sequence through = 0;
    std::vector<CatchUp> lanes;  // empty: the cursor's own
  };

  LaneId id_of(const Message& message) const { return order_ == ForwardOrder::queue ? 0 : message.twin; }
  Entry& at(LaneId id);
  bool fits(std::size_t eighths) const;
  bool fits_early() const;
  enum class From : std::uint8_t { commit, disk };
  bool place(Message&& message, From from);
  bool place_early(Message&& message);
  static bool came_early(const Lane& lane);  // all that it has
  bool may_be_ahead(LaneId id) const;
  void note_ahead(LaneId id, Sequence sequence);
  void advance(Sequence to);
  void push(Entry& entry, Message&& message, bool early = false);
  bool is_fresh(const Entry& entry) const;
  void update_ready(Entry& entry);
  void drop(Lane& lane, Rows::iterator row);
  void leave_early_room(Row& row);
  InFlight send_next(Entry& entry);
  Rows::iterator row_of(Lane& lane, Sequence sequence);
  const Row& row(const InFlight& sent) const;
  void answered(Entry& entry, Rows::iterator row, bool stays);
  void begin_wait(Entry& entry);
  static void forget_passed(Lane& lane);
  void shed(Lane& lane);
  void give_back(Lane& lane, bool keep_head);
  void settle(Entry& entry);
  void update_hunger(Entry& entry);
  void update_following(Entry& entry);
  void end_wait(Entry& entry);
  void pass_over_the_rest();
  ReadRequest plan_catch_up();
  void hand_out(std::vector<Message>&& messages, const Read& read, Sequence covered);

  const ForwardOrder order_;
  const std::size_t pipeline_;
  const LaneLimits limits_;
  const std::size_t lane_messages_max_;
  std::unordered_map<LaneId, Lane> lanes_;
  std::set<std::pair<Sequence, LaneId>> ready_;  // by head
  std::set<std::pair<Sequence, LaneId>> ready_fresh_;
  bool fresh_goes_next_ = true;
  std::set<std::pair<Sequence, LaneId>> following_;  // in flight, and may have one more: by that one
  std::set<std::pair<TimePoint, LaneId>> waiting_;   // by retry_at
  std::set<std::pair<Sequence, LaneId>> hungry_;     // by behind_from: flow, and want rows
  Sequence cursor_;                                  // every row up to here went into its lane or was passed over
  Sequence newest_;
  Sequence ahead_known_from_;                   // of rows up to here, twins that are ahead are not known
  std::unordered_map<LaneId, Sequence> ahead_;  // the last row of each that the cursor is to place
  std::deque<Sequence> early_;                  // in order: rows ahead of the cursor that went into their lanes
  std::optional<Read> read_;
  bool front_was_read_ = false;      // by the newest read for lanes that are behind: it began with the furthest
  Sequence front_read_through_ = 0;  // where the newest such read ended
  bool cursor_reads_next_ = false;   // the cursor and the lanes that are behind take turns
  std::size_t in_flight_ = 0, lanes_in_flight_ = 0;
  std::size_t held_ = 0;  // of those in waiting_
  std::size_t messages_ = 0, bytes_ = 0;
  std::size_t early_messages_ = 0, early_bytes_ = 0;    // of these
  std::size_t parked_messages_ = 0, parked_bytes_ = 0;  // of these, heads of waiting lanes
  std::vector<TwinNumber> ended_notes_;
};

}  // namespace twinspool::forward
