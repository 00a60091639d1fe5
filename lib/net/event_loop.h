// The loop thread: libuv's loop, timers, work that waits for the end of a turn, and other threads' wake-ups.
//
// One thread runs a loop and makes every call here, except Waker::wake(). A turn is: expired timers, ready I/O, the
// posted functions, then the end of what was retired. A loop with Clock::manual never looks at a clock: tests and the
// simulation move its time themselves and call run_turn(), so a run depends on nothing but its inputs.
//
// A process that has a loop ignores SIGPIPE: libuv writes to sockets whose peer may be gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "net/handle.h"
#include "net/timers.h"
#include "util/error.h"
#include "util/time.h"

namespace twinspool::net {

class EventLoop {
 public:
  enum class Clock : std::uint8_t { real, manual };

  explicit EventLoop(Clock clock = Clock::real);
  ~EventLoop();  // ends what was retired, lets closing handles close; ENSUREs that no other handle is left
  EventLoop(EventLoop&&) = delete;

  void run();       // Clock::real only: turns until stop()
  void stop();      // run() returns after this turn
  void run_turn();  // one turn that never waits for I/O: what is ready now

  // Runs `work` after the I/O callbacks of this turn, in call order, before the loop waits again. What is posted while
  // posted work runs comes in the next turn, which then does not wait. Work that must not outlive an object: Deferred.
  void post(std::function<void()> work);

  // Ends an object when the call stack is empty, after the posted work: how an object dies that is on the stack now.
  template <class T>
  void retire(std::unique_ptr<T> object) {
    if (object) retire_erased(Erased(object.release(), [](void* p) { delete static_cast<T*>(p); }));
  }

  // The same during a callback, to a millisecond, except after update_now(); with Clock::manual what advance() made it.
  TimePoint now() const { return timers_.now(); }
  void update_now();          // after long work
  void advance(Duration by);  // Clock::manual only: moves the time; the timers fire in run_turn()
  Timers& timers() { return timers_; }
  uv_loop_t* raw() { return &loop_; }

 private:
  using Erased = std::unique_ptr<void, void (*)(void*)>;
  void retire_erased(Erased object);
  void on_check();
  void arm_clock();
  void stay_awake();
  TimePoint read_clock() const;

  const Clock clock_;
  uv_loop_t loop_{};
  TimePoint manual_now_;
  Timers timers_;
  TimePoint armed_for_ = kNever;  // what clock_timer_ waits for
  std::vector<std::function<void()>> posted_;
  std::vector<Erased> retired_;
  UvPtr<uv_timer_t> clock_timer_;
  UvPtr<uv_prepare_t> prepare_;
  UvPtr<uv_check_t> check_;
  UvPtr<uv_idle_t> idle_;  // active while something is posted or retired: the loop then does not wait
};

// Work that is posted at most once at a time and never runs after the end of its Deferred, which may end inside it.
class Deferred {
 public:
  Deferred(EventLoop& loop, std::function<void()> work);
  Deferred(Deferred&&) = delete;
  ~Deferred();
  void post();  // runs on the loop as EventLoop::post says; calls before it ran coalesce

 private:
  struct State {
    std::function<void()> work;
    bool posted = false;
    bool ended = false;
  };
  EventLoop& loop_;
  std::shared_ptr<State> state_;  // shared with the posted function only
};

// Wakes the loop from any thread; wakes within one turn coalesce into one `on_wake`.
class Waker {
 public:
  Waker(EventLoop& loop, std::function<void()> on_wake);
  Waker(Waker&&) = delete;  // libuv points at this object
  void wake();              // any thread; a thread that calls it is joined before the Waker goes

 private:
  std::function<void()> on_wake_;
  UvPtr<uv_async_t> async_;  // last: closed before what its callback uses
};

// Calls back on the loop thread when the process gets `signal_number`.
class SignalWatcher {
 public:
  SignalWatcher(EventLoop& loop, int signal_number, std::function<void()> on_signal);
  SignalWatcher(SignalWatcher&&) = delete;

 private:
  std::function<void()> on_signal_;
  UvPtr<uv_signal_t> signal_;
};

}  // namespace twinspool::net
