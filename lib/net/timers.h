// Deadlines in one heap, advanced by the event loop or by a test.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "util/time.h"

namespace twinspool::net {

class Timer;

// Loop thread. Timers with the same deadline fire in the order in which they were set.
class Timers {
 public:
  using Clock = std::function<TimePoint()>;

  // Without a `clock` the time stands still between two calls of advance().
  explicit Timers(TimePoint now, Clock clock = nullptr) : now_(now), clock_(std::move(clock)) {}
  Timers(Timers&&) = delete;
  ~Timers();  // ENSUREs that no armed timer is left

  // The clock's time: after a long wait for I/O it is right before any timer fired.
  TimePoint now() const { return clock_ ? std::max(now_, clock_()) : now_; }
  TimePoint next_deadline() const;  // kNever where nothing is armed

  // Moves the time, never backwards, and fires what is due. A timer that is set again while it fires, to a deadline
  // that is due as well, fires at the next advance: one that always re-arms itself cannot hold the loop.
  void advance(TimePoint now);

 private:
  friend class Timer;
  using Key = std::pair<TimePoint, std::uint64_t>;
  TimePoint now_;
  const Clock clock_;
  std::uint64_t set_count_ = 0;
  std::map<Key, Timer*> armed_;
};

// One deadline at a time; setting it again moves it. Disarmed by its destruction, which may happen inside its own
// callback.
class Timer {
 public:
  Timer(Timers& timers, std::function<void()> on_expired);
  ~Timer();
  Timer(Timer&&) = delete;

  void set(TimePoint deadline);  // kNever: cancels
  void set_after(Duration delay);
  void cancel();
  bool armed() const { return armed_; }
  TimePoint deadline() const { return armed_ ? key_.first : kNever; }

 private:
  friend class Timers;
  void fire();

  Timers& timers_;
  std::function<void()> on_expired_;
  Timers::Key key_{};
  bool armed_ = false;
  bool* died_ = nullptr;  // while firing: tells fire() that this object is gone
};

}  // namespace twinspool::net
