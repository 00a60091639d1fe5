// When the queue is full. Pure: figures in, a refusal or nothing out.
//
// What has closed stays closed until there is room worth opening for (5 %), so that a full queue does not flutter. A
// limit only ever refuses: nothing is deleted for it, not even where a reload has lowered it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "config/config.h"
#include "spool/spool.h"

namespace twinspool {

class SpaceGate {
 public:
  struct Figures {
    std::uint64_t queued_messages = 0;
    std::uint64_t queued_bytes = 0;
    std::uint64_t disk_free_bytes = UINT64_MAX;
  };
  struct Load {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
  };

  explicit SpaceGate(const StoreConfig& limits) { set_limits(limits); }
  void set_limits(const StoreConfig& limits) {
    max_bytes_ = limits.max_size;
    max_messages_ = limits.max_messages;
    min_free_ = limits.min_free;
    drops_ = limits.when_full == WhenFull::drop_oldest;
    wal_max_ = limits.max_size == 0 ? kWalMost : std::clamp(limits.max_size / 4, kWalLeast, kWalMost);
  }

  // nullopt: `load` fits on top of `now`.
  std::optional<Refused> admit(const Load& load, const Figures& now, std::int64_t uptime_ms) {
    if (reserve_spent_)
      return refused(Refusal::disk_full,
                     "the disk has no room for the reserve that the drain needs: free some, or wait for the drain");
    if (closed_by_wal())
      return Refused{Refusal::storage,
                     "the write-ahead log has grown to " + std::to_string(wal_bytes_) + " bytes because " +
                         (wal_holder_ == 0 ? "a snapshot or another reader"
                                           : "the process with pid " + std::to_string(wal_holder_)) +
                         " reads the database: taken in again when that query ends",
                     kRetryAfter};
    if (uptime_ms < disk_full_until_ms_) return refused(Refusal::disk_full, "the disk is full");
    const std::uint64_t wanted_free = free_closed_ ? min_free_ + std::max(min_free_ / 20, kMiB) : min_free_;
    free_closed_ = min_free_ > 0 && now.disk_free_bytes < wanted_free;
    if (free_closed_)
      return refused(Refusal::disk_full, "the file system has " + std::to_string(now.disk_free_bytes) +
                                             " bytes free, store.min_free keeps " + std::to_string(min_free_));
    bytes_closed_ = over(now.queued_bytes, load.bytes, max_bytes_, bytes_closed_);
    if (bytes_closed_)
      return refused(Refusal::queue_full, "the queue holds " + std::to_string(now.queued_bytes) +
                                              " bytes, store.max_size is " + std::to_string(max_bytes_));
    messages_closed_ = over(now.queued_messages, load.messages, max_messages_, messages_closed_);
    if (messages_closed_)
      return refused(Refusal::queue_full, "the queue holds " + std::to_string(now.queued_messages) +
                                              " messages, store.max_messages is " + std::to_string(max_messages_));
    return std::nullopt;
  }

  // SQLite found the disk full: refused for a second, then tried again.
  void disk_was_full(std::int64_t uptime_ms) { disk_full_until_ms_ = uptime_ms + kDiskRetryMs; }

  // The reserve is for the drain: nothing is taken in until it is held again.
  void reserve_spent(bool spent) { reserve_spent_ = spent; }

  // What the WAL holds that it cannot write over yet, and who reads the database (0: not known).
  void wal_holds(std::uint64_t bytes, int holder) {
    wal_bytes_ = bytes;
    wal_holder_ = holder;
  }
  bool closed_by_wal() const { return wal_bytes_ >= wal_max_; }

  // The disk, rather than a limit of the queue, keeps it shut: space given back would open it.
  bool closed_by_disk() const { return reserve_spent_ || free_closed_; }

  bool closed(std::int64_t uptime_ms) const {
    return reserve_spent_ || free_closed_ || bytes_closed_ || messages_closed_ || closed_by_wal() ||
           uptime_ms < disk_full_until_ms_;
  }

 private:
  static constexpr std::int64_t kDiskRetryMs = 1000;
  static constexpr Duration kRetryAfter = std::chrono::seconds(30);
  // A quarter of store.max_size, within these: a reader of some minutes is no reason to refuse, one that stays is.
  static constexpr std::uint64_t kWalLeast = 64 * kMiB, kWalMost = 1024 * kMiB;

  static Refused refused(Refusal why, std::string what) { return Refused{why, std::move(what), kRetryAfter}; }

  bool over(std::uint64_t held, std::uint64_t more, std::uint64_t limit, bool closed) const {
    if (limit == 0) return false;
    const std::uint64_t room_from = closed && !drops_ ? limit - limit / 20 : limit;
    return held + more > room_from;
  }

  std::uint64_t max_bytes_ = 0, max_messages_ = 0, min_free_ = 0;
  std::uint64_t wal_max_ = kWalMost, wal_bytes_ = 0;
  int wal_holder_ = 0;
  bool drops_ = false;  // room is made to measure, so there is nothing to wait for
  bool reserve_spent_ = false;
  bool free_closed_ = false, bytes_closed_ = false, messages_closed_ = false;
  std::int64_t disk_full_until_ms_ = INT64_MIN;
};

}  // namespace twinspool
