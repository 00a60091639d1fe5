#include "spool/disk_watch.h"

#include <utility>

#include "spool/files.h"
#include "util/log.h"

namespace twinspool {
namespace {

constexpr std::int64_t kLookEveryMs = 250;
constexpr std::uint64_t kWalAlarmBytes = 40 * kMiB;  // it keeps up to 32 when it begins anew

}  // namespace

void DiskWatch::store_opened() {
  wal_readers_.emplace(home_.files().shm);
  seen_at_ms_ = INT64_MIN / 2;
}

Result<bool> DiskWatch::look(Store& store, const SpoolClocks& clocks, bool may_write) {
  if (clocks.uptime_ms() - seen_at_ms_ < kLookEveryMs) return false;
  return look_now(store, clocks, may_write);
}

Result<bool> DiskWatch::look_now(Store& store, const SpoolClocks& clocks, bool may_write) {
  seen_at_ms_ = clocks.uptime_ms();
  const StoreFiles& files = home_.files();
  seen_.free_bytes = free_bytes(files.directory);
  seen_.file_bytes = file_size(files.database);
  seen_.wal_bytes = file_size(files.wal);
  seen_.clock_synced = clocks.synchronized();
  seen_.files_are_there = home_.files_are_there();
  watch_readers();
  restore_reserve();
  if (may_write && seen_.files_are_there) {
    if (Result<void> bound = bound_wal(store); !bound) return tl::unexpected(bound.error());
  }
  return true;
}

// Told once for each reader that makes the WAL grow.
void DiskWatch::watch_readers() {
  const pid_t holder = seen_.wal_bytes > kWalAlarmBytes ? wal_readers_->holder().value_or(0) : 0;
  if (holder == seen_.wal_holder) return;
  if (holder != 0)
    log::warn("store.wal_held",
              {{"pid", holder},
               {"program", process_name(holder)},
               {"wal_bytes", seen_.wal_bytes},
               {"why", "it reads the database, so the WAL cannot begin anew and grows: end its query"}});
  else
    log::info("store.wal_free", {{"pid", seen_.wal_holder}, {"wal_bytes", seen_.wal_bytes}});
  seen_.wal_holder = holder;
}

void DiskWatch::restore_reserve() {
  DiskReserve& reserve = home_.reserve();
  // With a little more: a reserve that eats the last free block would be given up at the next commit.
  if (!reserve.held() && seen_.free_bytes >= reserve.bytes() + kMiB && reserve.take() &&
      std::exchange(reserve_spent_, false))
    log::info("store.reserve_restored", {{"bytes", reserve.bytes()}});
  gate_.reserve_spent(!reserve.held());
}

// At its limit the WAL takes in no more; what leaves the queue is still recorded in it. Every look tries to begin it
// anew.
Result<void> DiskWatch::bound_wal(Store& store) {
  const bool was_closed = gate_.closed_by_wal();
  gate_.wal_holds(store.wal_bytes(), seen_.wal_holder);
  if (!gate_.closed_by_wal()) return {};
  const Result<bool> begins_anew = store.restart_wal();
  if (!begins_anew) return tl::unexpected(begins_anew.error());
  gate_.wal_holds(store.wal_bytes(), seen_.wal_holder);
  if (gate_.closed_by_wal() && !was_closed)
    log::error("store.wal_full",
               {{"wal_bytes", store.wal_bytes()},
                {"pid", seen_.wal_holder},
                {"program", seen_.wal_holder == 0 ? std::string() : process_name(seen_.wal_holder)},
                {"why", "a reader keeps it from beginning anew: nothing is taken in until its query ends"}});
  if (!gate_.closed_by_wal() && was_closed) log::info("store.wal_restarted", {{"note", "messages are taken in again"}});
  return {};
}

void DiskWatch::give_up_reserve() {
  if (!home_.reserve().held()) return;
  home_.reserve().release();
  reserve_spent_ = true;
  gate_.reserve_spent(true);
  log::warn("store.reserve_given_up",
            {{"bytes", home_.reserve().bytes()}, {"why", "the disk is full, and deliveries must be recorded"}});
}

}  // namespace twinspool
