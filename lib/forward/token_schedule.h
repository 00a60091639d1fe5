// When a token is fetched, refreshed and no longer sent. Pure: time is an argument, and it is the monotonic one,
// because a gateway's wall clock may jump by years.
//
//   due ── began() ──▶ fetching ── fetched() ──▶ due again `refresh_ahead` before the token's end
//    ▲                    └─────── failed() ───▶ due again after a backoff; a token that is still good goes on being
//    sent └── refused() by the cloud: at once, the first time
#pragma once

#include <cstdint>
#include <optional>

#include "config/config.h"
#include "forward/backoff.h"
#include "util/time.h"

namespace twinspool::forward {

struct TokenLifetime {
  Duration expires_in{};
  std::optional<Duration> refresh_in;  // the issuer's advice to come earlier
};

struct TokenRetry {             // of a fetch that failed
  Duration retry_after{};       // what the issuer asked for
  bool needs_a_person = false;  // a wrong secret does not mend itself: slow, but for ever
};

class TokenSchedule {
 public:
  // A token of which less than this is left is not sent any more: it would end on its way. Never more than a tenth of
  // its life.
  static constexpr Duration kMarginMax = std::chrono::seconds(10);
  // A token that was refused this soon after it was fetched is no better than the one before it.
  static constexpr Duration kProvenAfter = std::chrono::minutes(1);

  TokenSchedule(Duration refresh_ahead, const RetryConfig& retry, std::uint64_t seed)
      : refresh_ahead_(refresh_ahead), backoff_(retry, seed) {}

  bool usable(TimePoint now) const { return now < usable_until_; }  // the newest token may be sent
  bool fetching() const { return fetching_; }
  TimePoint due() const { return fetching_ ? kNever : due_; }  // of the next fetch
  std::optional<Duration> expires_in(TimePoint now) const;     // nullopt: no usable token
  std::uint32_t failures() const { return failures_; }         // in a row

  void began(TimePoint now);
  // The life is counted from began(): the issuer's clock ran while the answer was on its way.
  void fetched(const TokenLifetime& lifetime, TimePoint now);
  void failed(const TokenRetry& retry, TimePoint now);
  void refused(TimePoint now);
  // Before the first fetch: the other's token is ours from now on. False: it has none that may be sent.
  bool take_over(const TokenSchedule& other, TimePoint now);

 private:
  const Duration refresh_ahead_;
  Backoff backoff_;
  bool fetching_ = false;
  TimePoint began_at_ = TimePoint::min();
  TimePoint due_ = TimePoint::min();  // at once
  TimePoint fetched_at_ = TimePoint::min();
  TimePoint expires_at_ = TimePoint::min();
  TimePoint usable_until_ = TimePoint::min();
  std::uint32_t failures_ = 0;
  std::uint32_t refusals_ = 0;  // in a row, of tokens that had not proven themselves
};

}  // namespace twinspool::forward
