#include "forward/endpoint.h"

#include <algorithm>

namespace twinspool::forward {

namespace {

bool throttles(const Outcome& outcome) { return outcome.verdict == Verdict::pause_endpoint && outcome.status != 0; }

}  // namespace

Endpoint::Endpoint(const RetryConfig& config, std::uint32_t connections, std::uint64_t seed, Return manner)
    : backoff_(config, seed, manner == Return::gentle ? Jitter::full : Jitter::none),
      connections_(std::max<std::uint32_t>(connections, 1)) {
  if (manner == Return::gentle) ramp_.emplace(config.initial);
}

std::size_t Endpoint::allowance(TimePoint now) {
  if (state_ == State::waiting) {
    if (now < retry_at_) return 0;
    state_ = State::probing;
  }
  const std::size_t free = limit_ > in_flight_ ? limit_ - in_flight_ : 0;
  return free > 0 && ramp_ && state_ == State::up ? std::min(free, ramp_->allowance(now)) : free;
}

TimePoint Endpoint::next_allowance() const {
  if (state_ == State::waiting) return retry_at_;
  return state_ == State::up && ramp_ && !ramp_->over() && limit_ > in_flight_ ? ramp_->next() : kNever;
}

Endpoint::Permit Endpoint::sent(TimePoint now) {
  ++in_flight_;
  if (ramp_) ramp_->sent();
  return {epoch_, now};
}

void Endpoint::withdrawn(const Permit& permit) {
  if (permit.epoch == epoch_ && in_flight_ > 0) --in_flight_;
}

Endpoint::Blame Endpoint::finished(const Permit& permit, const Outcome& outcome, TwinNumber twin, TimePoint now) {
  withdrawn(permit);
  switch (outcome.verdict) {
    case Verdict::delivered:
    case Verdict::quarantine:
      good_at_ = now;
      answered(permit, now);
      return Blame::message;
    case Verdict::hold_lane:
      good_at_ = now;
      answered(permit, now);
      return Blame::lane;
    case Verdict::retry_lane:
      if (std::find(faulty_lanes_.begin(), faulty_lanes_.end(), twin) == faulty_lanes_.end() &&
          faulty_lanes_.size() < kFaultyLanesMax) {
        faulty_lanes_.push_back(twin);
      }
      return faulty_lanes_.size() < kFaultyLanesMax ? Blame::lane : judge(permit, outcome, now);
    case Verdict::renew_token:
    case Verdict::pause_endpoint:
    case Verdict::hold_endpoint:
    case Verdict::retry_path:
      return judge(permit, outcome, now);
  }
  return Blame::endpoint;
}

Endpoint::Blame Endpoint::failed(const Permit& permit, const Outcome& outcome, TimePoint now) {
  // A proxy may refuse one connection more and carry the others on.
  if (outcome.verdict == Verdict::hold_endpoint && good_at_ > permit.sent_at) return Blame::lane;
  return judge(permit, outcome, now);
}

void Endpoint::answered(const Permit& permit, TimePoint now) {
  faulty_lanes_.clear();
  if (permit.epoch != epoch_) return;  // sent before the endpoint was found bad: proves nothing about now
  failures_ = 0;
  token_renewed_ = false;
  known_ = true;
  ailing_ = false;
  trouble_ = Outcome{};
  if (state_ != State::up) {
    state_ = State::up;
    limit_ = 1;
    good_of_round_ = 0;
    if (ramp_) ramp_->begin(now);
  }
  if (++good_of_round_ >= limit_) {
    limit_ = std::min(limit_ * 2, connections_);
    good_of_round_ = 0;
  }
}

Endpoint::Blame Endpoint::judge(const Permit& permit, const Outcome& outcome, TimePoint now) {
  if (outcome.verdict == Verdict::retry_path && good_at_ > permit.sent_at) return Blame::lane;
  if (permit.epoch != epoch_) {
    if (state_ == State::waiting) retry_at_ = std::max(retry_at_, now + outcome.retry_after);
    return Blame::endpoint;
  }
  if (outcome.verdict == Verdict::renew_token && !token_renewed_) {
    token_renewed_ = true;  // the endpoint is well, and the ramp goes on
    wait(outcome, Duration::zero(), now);
    return Blame::endpoint;
  }
  ++failures_;
  known_ = ailing_ = true;
  if (ramp_ && !throttles(outcome)) {
    ramp_->outage();
  } else if (ramp_ && state_ == State::up) {  // what refuses even a probe says nothing about the rate
    ramp_->throttled();
  }
  wait(outcome,
       outcome.verdict == Verdict::hold_endpoint ? backoff_.slow_delay()
                                                 : backoff_.delay(failures_, outcome.retry_after),
       now);
  return Blame::endpoint;
}

void Endpoint::wait(const Outcome& outcome, Duration delay, TimePoint now) {
  state_ = State::waiting;
  ++epoch_;
  in_flight_ = 0;
  limit_ = 1;
  good_of_round_ = 0;
  trouble_ = outcome;
  retry_at_ = now + delay;
}

void Endpoint::kick() {
  failures_ = 0;
  if (state_ == State::waiting) state_ = State::probing;
}

}  // namespace twinspool::forward
