#include "net/timers.h"

#include "util/error.h"

namespace twinspool::net {

Timers::~Timers() { ENSURE(armed_.empty()); }

TimePoint Timers::next_deadline() const { return armed_.empty() ? kNever : armed_.begin()->first.first; }

void Timers::advance(TimePoint now) {
  now_ = std::max(now_, now);
  const std::uint64_t set_before = set_count_;
  // Whatever was set before this call lies behind the last one fired, so the walk never has to go back.
  auto next = armed_.begin();
  while (next != armed_.end() && next->first.first <= now_) {
    const Key key = next->first;
    if (key.second < set_before) next->second->fire();
    next = armed_.upper_bound(key);
  }
}

Timer::Timer(Timers& timers, std::function<void()> on_expired) : timers_(timers), on_expired_(std::move(on_expired)) {}

Timer::~Timer() {
  cancel();
  if (died_ != nullptr) *died_ = true;
}

void Timer::set(TimePoint deadline) {
  if (deadline == kNever) return cancel();
  const Timers::Key key{deadline, timers_.set_count_++};
  if (armed_) {
    auto node = timers_.armed_.extract(key_);
    node.key() = key;
    timers_.armed_.insert(std::move(node));
  } else {
    timers_.armed_.emplace(key, this);
  }
  key_ = key;
  armed_ = true;
}

void Timer::set_after(Duration delay) {
  const TimePoint now = timers_.now();
  set(delay < kNever - now ? now + delay : kNever);
}

void Timer::cancel() {
  if (!armed_) return;
  timers_.armed_.erase(key_);
  armed_ = false;
}

void Timer::fire() {
  cancel();
  bool died = false;
  died_ = &died;
  // Moved out and back, so that a callback which destroys its timer does not destroy the function that runs.
  std::function<void()> work = std::move(on_expired_);
  work();
  if (died) return;
  died_ = nullptr;
  on_expired_ = std::move(work);
}

}  // namespace twinspool::net
