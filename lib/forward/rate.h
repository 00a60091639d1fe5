// forward.rate: a token bucket of messages and one of bytes. Pure: time is an argument.
//
// A bucket holds a tenth of a second's worth, so no second sees more than 1.1 times the rate, and a loop that turns
// late loses none of it. A message larger than the bucket passes as soon as the bucket is not in debt, and is paid off
// after.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "config/config.h"
#include "util/time.h"

namespace twinspool::forward {

class TokenBucket {
 public:
  explicit TokenBucket(std::uint64_t per_second)
      : per_second_(static_cast<double>(per_second)), level_(capacity()), filled_at_(TimePoint::min()) {}

  bool limited() const { return per_second_ > 0; }
  bool may_spend(TimePoint now) {
    if (!limited()) return true;
    if (filled_at_ != TimePoint::min()) {
      const double seconds = std::chrono::duration<double>(now - filled_at_).count();
      level_ = std::min(capacity(), level_ + seconds * per_second_);
    }
    filled_at_ = now;
    return level_ >= 0;
  }
  void spend(std::uint64_t tokens) {
    if (limited()) level_ -= static_cast<double>(tokens);
  }
  TimePoint next() const {  // when may_spend() is true again, as far as it is known now
    if (!limited() || level_ >= 0) return filled_at_;
    const auto wait = std::chrono::duration<double>(-level_ / per_second_);
    return filled_at_ + std::chrono::duration_cast<Duration>(wait) + std::chrono::milliseconds(1);
  }

 private:
  double capacity() const { return std::max(per_second_ / 10, 1.0); }

  double per_second_;
  double level_;
  TimePoint filled_at_;
};

class RateLimit {
 public:
  explicit RateLimit(const RateConfig& config) : messages_(config.messages), bytes_(config.bytes) {}

  bool may_send(TimePoint now) {
    const bool messages = messages_.may_spend(now);
    return bytes_.may_spend(now) && messages;
  }
  void sent(std::uint64_t bytes) {
    messages_.spend(1);
    bytes_.spend(bytes);
  }
  TimePoint next() const { return std::max(messages_.next(), bytes_.next()); }  // after may_send() was false

 private:
  TokenBucket messages_, bytes_;
};

}  // namespace twinspool::forward
