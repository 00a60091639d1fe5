#include "forward/token_schedule.h"

#include <algorithm>

#include "util/error.h"

namespace twinspool::forward {

std::optional<Duration> TokenSchedule::expires_in(TimePoint now) const {
  if (!usable(now)) return std::nullopt;
  return expires_at_ - now;
}

void TokenSchedule::began(TimePoint now) {
  ENSURE(!fetching_);
  fetching_ = true;
  began_at_ = now;
}

void TokenSchedule::fetched(const TokenLifetime& lifetime, TimePoint now) {
  ENSURE(fetching_);
  fetching_ = false;
  failures_ = 0;
  fetched_at_ = now;
  expires_at_ = began_at_ + lifetime.expires_in;
  usable_until_ = expires_at_ - std::min(lifetime.expires_in / 10, kMarginMax);
  // A token that lives no longer than twice refresh_ahead is renewed at half its life. The jitter keeps gateways that
  // were switched on together from renewing together for ever.
  const Duration ahead = std::min(refresh_ahead_, lifetime.expires_in / 2);
  Duration wait = lifetime.expires_in - ahead;
  if (lifetime.refresh_in) wait = std::min(wait, *lifetime.refresh_in);
  due_ = began_at_ + wait - backoff_.fraction_of(wait / 10);
}

void TokenSchedule::failed(const TokenRetry& retry, TimePoint now) {
  ENSURE(fetching_);
  fetching_ = false;
  ++failures_;
  due_ = now + (retry.needs_a_person ? std::max(retry.retry_after, backoff_.slow_delay())
                                     : backoff_.delay(failures_, retry.retry_after));
}

void TokenSchedule::refused(TimePoint now) {
  const bool proven = fetched_at_ != TimePoint::min() && now - fetched_at_ >= kProvenAfter;
  refusals_ = proven ? 1 : refusals_ + 1;
  usable_until_ = TimePoint::min();
  // Never sooner than the issuer was promised after a failed refresh.
  const TimePoint soonest = failures_ > 0 ? due_ : now;
  due_ = refusals_ == 1 ? soonest : std::max(soonest, now + backoff_.delay(refusals_ - 1));
}

bool TokenSchedule::take_over(const TokenSchedule& other, TimePoint now) {
  if (!other.usable(now)) return false;
  began_at_ = other.began_at_;
  fetched_at_ = other.fetched_at_;
  expires_at_ = other.expires_at_;
  usable_until_ = other.usable_until_;
  refusals_ = other.refusals_;
  // What failed before is tried at once: somebody may have mended it.
  due_ = other.fetching_ || other.failures_ > 0 ? now : other.due_;
  return true;
}

}  // namespace twinspool::forward
