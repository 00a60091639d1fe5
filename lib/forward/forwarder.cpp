#include "forward/forwarder.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "forward/forwarder_impl.h"

namespace twinspool::forward {

namespace {

std::string count_of(std::size_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

}  // namespace

std::pair<Forwarder::State, std::string> Forwarder::Impl::condition() const {
  if (paused_) return {State::paused, "paused by an operator; `twinspool resume` goes on"};
  if (stopping_) return {State::paused, "stopping"};
  if (lanes.empty()) return {State::idle, {}};
  if (endpoint.ailing()) return {State::waiting, describe(endpoint.trouble())};
  if (lanes.in_flight() > 0) return {State::delivering, {}};
  if (!may_leave_unrecorded()) {
    const std::string& fault = spool.stats().fault;
    return {State::waiting,
            fault.empty() ? "deliveries are being recorded" : "deliveries cannot be recorded: " + fault};
  }
  if (lanes.ready() > 0 || !lanes.caught_up() || lanes.held() + lanes.retrying() == 0) return {State::delivering, {}};
  std::string why;
  if (lanes.held() > 0) why = count_of(lanes.held(), "twin does", "twins do") + " not exist in the cloud";
  if (lanes.retrying() > 0) {
    why += (why.empty() ? "" : ", ") + count_of(lanes.retrying(), "twin waits", "twins wait") +
           " after failures of the service";
  }
  return {State::waiting, why};
}

// Each of these ends by itself, after a time-out at the latest, and then the next pump follows.
bool Forwarder::Impl::stuck() const {
  const bool under_way = lanes.in_flight() > 0 || !dials.empty() || getting_token || lanes.reading() ||
                         spool.stats().unrecorded > 0 || wake_up.armed();
  return started_ && condition().first == State::delivering && !under_way;
}

void Forwarder::Impl::watch_state() {
  totals.offline.note(endpoint.ailing(), loop.now());
  const State now_state = condition().first;
  if (now_state != state) {
    state = now_state;
    state_since = options.wall_clock();
  }
  delivery_log.watch(endpoint, loop.now());
}

Forwarder::Forwarder(net::EventLoop& loop, Spool& spool, Dialer& dialer, TokenSource& tokens,
                     const ForwardConfig& config, Options options)
    : impl_(std::make_unique<Impl>(loop, spool, dialer, tokens, config, std::move(options))) {}

Forwarder::Forwarder(net::EventLoop& loop, Spool& spool, Dialer& dialer, TokenSource& tokens,
                     const ForwardConfig& config, std::uint64_t seed)
    : Forwarder(loop, spool, dialer, tokens, config, Options{.seed = seed}) {}

Forwarder::~Forwarder() = default;

void Forwarder::start() {
  impl_->started_ = true;
  impl_->pump_later();
}

void Forwarder::pause(WallTime since) {
  impl_->paused_ = true;
  impl_->state = State::paused;
  impl_->state_since = since;
  impl_->pump_later();
}

void Forwarder::resume() {
  impl_->paused_ = false;
  impl_->pump_later();
}

void Forwarder::kick() {
  impl_->endpoint.kick();
  impl_->lanes.kick();
  impl_->tokens.kick();
  impl_->dial_not_before = impl_->read_not_before = TimePoint::min();
  impl_->pump_later();
}

void Forwarder::stop(std::function<void()> done) {
  ENSURE(!impl_->stopping_);
  impl_->stopping_ = true;
  impl_->stopped = std::move(done);
  impl_->dials.clear();
  impl_->close_idle();
  impl_->stop_deadline.set_after(kStopGraceMax);
  impl_->pump_later();
}

Forwarder::Stats Forwarder::stats() const {
  const Impl& impl = *impl_;
  const TimePoint now = impl.loop.now();
  const auto remaining = [now](TimePoint at) {
    return at == kNever ? Duration::zero() : std::max(at - now, Duration::zero());
  };
  Stats stats;
  std::tie(stats.state, stats.why) = impl.condition();
  stats.since = impl.state_since;
  if (stats.state == State::waiting) {
    stats.retry_in = remaining(impl.endpoint.ailing() ? impl.endpoint.retry_at() : impl.lanes.next_due());
  }
  if (impl.endpoint.known()) stats.upstream = impl.endpoint.ailing() ? Upstream::down : Upstream::up;
  stats.last_status = impl.last_status;
  stats.stuck = impl.stuck();
  stats.connections = impl.connections.size();
  stats.in_flight = impl.lanes.in_flight();
  stats.lanes_in_flight = impl.lanes.lanes_in_flight();
  stats.lanes_ready = impl.lanes.ready();
  stats.lanes_held = impl.lanes.held();
  stats.lanes_retrying = impl.lanes.retrying();
  stats.window_messages = impl.lanes.window_messages();
  stats.window_bytes = impl.lanes.window_bytes();
  stats.delivered = impl.delivered;
  stats.quarantined = impl.quarantined;
  stats.totals = impl.totals;
  stats.offline = impl.totals.offline.total(now);
  return stats;
}

std::vector<Forwarder::WaitingLane> Forwarder::waiting_lanes(std::size_t most) const {
  const TimePoint now = impl_->loop.now();
  std::vector<WaitingLane> list;
  for (const Lanes::WaitingLane& lane : impl_->lanes.waiting_lanes(most)) {
    list.push_back({.twin = lane.twin,
                    .held = lane.wait.held,
                    .status = lane.wait.status,
                    .error_code = lane.wait.error_code,
                    .failures = lane.failures,
                    .waits_for = now - lane.since,
                    .retry_in = std::max(lane.retry_at - now, Duration::zero())});
  }
  return list;
}

std::string_view to_string(Forwarder::State state) {
  switch (state) {
    case Forwarder::State::idle:
      return "idle";
    case Forwarder::State::delivering:
      return "delivering";
    case Forwarder::State::waiting:
      return "waiting";
    case Forwarder::State::paused:
      return "paused";
  }
  return "unknown";
}

}  // namespace twinspool::forward
