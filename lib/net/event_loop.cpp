#include "net/event_loop.h"

#include <csignal>

#include "util/log.h"

namespace twinspool::net {
namespace {

using std::chrono::milliseconds;

// Not zero, so that a test never takes an unset TimePoint for "now".
constexpr TimePoint kManualStart = TimePoint{} + std::chrono::hours{1};

std::uint64_t ms_until(TimePoint deadline, TimePoint now) {
  if (deadline <= now) return 0;
  return static_cast<std::uint64_t>(std::chrono::ceil<milliseconds>(deadline - now).count());
}

}  // namespace

EventLoop::EventLoop(Clock clock)
    : clock_(clock), manual_now_(kManualStart), timers_(TimePoint{}, [this] { return read_clock(); }) {
  (void)std::signal(SIGPIPE, SIG_IGN);
  ENSURE(uv_loop_init(&loop_) == 0);
  clock_timer_ = make_uv<uv_timer_t>(this, [&](uv_timer_t* handle) { return uv_timer_init(&loop_, handle); });
  prepare_ = make_uv<uv_prepare_t>(this, [&](uv_prepare_t* handle) { return uv_prepare_init(&loop_, handle); });
  check_ = make_uv<uv_check_t>(this, [&](uv_check_t* handle) { return uv_check_init(&loop_, handle); });
  idle_ = make_uv<uv_idle_t>(this, [&](uv_idle_t* handle) { return uv_idle_init(&loop_, handle); });
  if (clock_ == Clock::real) {
    uv_prepare_start(prepare_.get(), [](uv_prepare_t* handle) { owner_of<EventLoop>(handle)->arm_clock(); });
  }
  uv_check_start(check_.get(), [](uv_check_t* handle) { owner_of<EventLoop>(handle)->on_check(); });
}

EventLoop::~EventLoop() {
  while (!posted_.empty() || !retired_.empty()) {  // an end may post and retire again
    std::exchange(posted_, {}).clear();
    std::exchange(retired_, {}).clear();
  }
  clock_timer_.reset();
  prepare_.reset();
  check_.reset();
  idle_.reset();
  bool foreign = false;
  uv_walk(
      &loop_,
      [](uv_handle_t* handle, void* found) {
        if (uv_is_closing(handle) != 0) return;
        log::error("net.handle_outlives_loop", {{"type", uv_handle_type_name(uv_handle_get_type(handle))}});
        *static_cast<bool*>(found) = true;
      },
      &foreign);
  ENSURE(!foreign);
  uv_run(&loop_, UV_RUN_DEFAULT);  // close callbacks, and cancelled requests: libuv still points at their memory
  ENSURE(uv_loop_close(&loop_) == 0);
}

void EventLoop::run() {
  ENSURE(clock_ == Clock::real);
  uv_run(&loop_, UV_RUN_DEFAULT);
}

void EventLoop::stop() { uv_stop(&loop_); }

void EventLoop::run_turn() {
  if (clock_ == Clock::manual) timers_.advance(manual_now_);
  uv_run(&loop_, UV_RUN_NOWAIT);
}

void EventLoop::post(std::function<void()> work) {
  stay_awake();
  posted_.push_back(std::move(work));
}

void EventLoop::retire_erased(Erased object) {
  stay_awake();
  retired_.push_back(std::move(object));
}

void EventLoop::stay_awake() {
  if (posted_.empty() && retired_.empty()) uv_idle_start(idle_.get(), [](uv_idle_t*) {});
}

void EventLoop::update_now() {
  if (clock_ == Clock::real) uv_update_time(&loop_);
}

void EventLoop::advance(Duration by) {
  ENSURE(clock_ == Clock::manual && by >= Duration::zero());
  manual_now_ += by;
}

// libuv reads CLOCK_MONOTONIC at the start of a turn and again when the wait for I/O ends, which no callback of its own
// would tell us: so its time is the time.
TimePoint EventLoop::read_clock() const {
  return clock_ == Clock::manual ? manual_now_ : TimePoint{milliseconds{uv_now(&loop_)}};
}

void EventLoop::on_check() {
  if (!posted_.empty()) {
    std::vector<std::function<void()>> work;
    work.swap(posted_);
    for (std::function<void()>& function : work) function();
  }
  if (!retired_.empty()) {
    std::vector<Erased> ended;
    ended.swap(retired_);
  }
  if (posted_.empty() && retired_.empty()) uv_idle_stop(idle_.get());
}

// One libuv timer for all of ours, set just before the loop waits: nothing armed means no wake-up at all.
void EventLoop::arm_clock() {
  const TimePoint deadline = timers_.next_deadline();
  if (deadline == armed_for_) return;
  armed_for_ = deadline;
  if (deadline == kNever) {
    uv_timer_stop(clock_timer_.get());
    return;
  }
  uv_timer_start(
      clock_timer_.get(),
      [](uv_timer_t* handle) {
        auto* self = owner_of<EventLoop>(handle);
        self->armed_for_ = kNever;
        self->timers_.advance(self->read_clock());
      },
      ms_until(deadline, read_clock()), 0);
}

Deferred::Deferred(EventLoop& loop, std::function<void()> work)
    : loop_(loop), state_(std::make_shared<State>(State{.work = std::move(work)})) {}

Deferred::~Deferred() { state_->ended = true; }

void Deferred::post() {
  if (state_->posted) return;
  state_->posted = true;
  loop_.post([state = state_] {
    state->posted = false;
    if (!state->ended) state->work();
  });
}

Waker::Waker(EventLoop& loop, std::function<void()> on_wake)
    : on_wake_(std::move(on_wake)), async_(make_uv<uv_async_t>(this, [&](uv_async_t* handle) {
        return uv_async_init(loop.raw(), handle, [](uv_async_t* woken) {
          if (auto* self = owner_of<Waker>(woken)) self->on_wake_();
        });
      })) {}

void Waker::wake() { uv_async_send(async_.get()); }

SignalWatcher::SignalWatcher(EventLoop& loop, int signal_number, std::function<void()> on_signal)
    : on_signal_(std::move(on_signal)),
      signal_(make_uv<uv_signal_t>(this, [&](uv_signal_t* handle) { return uv_signal_init(loop.raw(), handle); })) {
  const auto on_caught = [](uv_signal_t* handle, int) {
    if (auto* self = owner_of<SignalWatcher>(handle)) self->on_signal_();
  };
  ENSURE(uv_signal_start(signal_.get(), on_caught, signal_number) == 0);
}

}  // namespace twinspool::net
