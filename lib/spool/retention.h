// What leaves the queue undelivered, because the operator set a limit: how much, and how it is told. Pure: figures and
// time are arguments.
#pragma once

#include <cstdint>
#include <optional>

#include "config/config.h"

namespace twinspool {

struct Excess {  // that has to go
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  bool nothing() const { return messages == 0 && bytes == 0; }
};

struct QueueLoad {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
};

// store.when_full: drop_oldest. nullopt: `more` alone is over a limit, so dropping would not help.
inline std::optional<Excess> excess(const StoreConfig& limits, const QueueLoad& held, const QueueLoad& more) {
  Excess excess;
  if (limits.max_messages > 0) {
    if (more.messages > limits.max_messages) return std::nullopt;
    const std::uint64_t wanted = held.messages + more.messages;
    if (wanted > limits.max_messages) excess.messages = wanted - limits.max_messages;
  }
  if (limits.max_size > 0) {
    if (more.bytes > limits.max_size) return std::nullopt;
    const std::uint64_t wanted = held.bytes + more.bytes;
    if (wanted > limits.max_size) excess.bytes = wanted - limits.max_size;
  }
  return excess;
}

// Drops come by the thousand; a log gets one line when they begin and one when they have ended.
class DropEpisode {
 public:
  // True: these begin one.
  bool dropped(std::uint64_t messages, std::int64_t uptime_ms) {
    const bool begins = messages_ == 0;
    messages_ += messages;
    last_ms_ = uptime_ms;
    return begins;
  }

  // How many it took, once it is over.
  std::optional<std::uint64_t> ended(std::int64_t uptime_ms) {
    if (messages_ == 0 || uptime_ms - last_ms_ < kQuietMs) return std::nullopt;
    const std::uint64_t messages = messages_;
    messages_ = 0;
    return messages;
  }

 private:
  static constexpr std::int64_t kQuietMs = 60'000;
  std::uint64_t messages_ = 0;
  std::int64_t last_ms_ = 0;
};

}  // namespace twinspool
