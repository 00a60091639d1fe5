// What a committer does between commits and behind them, of committer.h: checkpoints, recovery, space.
#include "spool/committer.h"

#include <algorithm>

#include "spool/kept.h"
#include "util/log.h"

namespace twinspool {
namespace {

constexpr std::uint32_t kPagesGivenBack = 256;  // 1 MiB a slice
constexpr std::uint32_t kFreePagesKept = 256;   // for what comes in next
constexpr std::uint32_t kFreePagesKeptIdle = 4096;
constexpr std::int64_t kIdleMs = 250;
constexpr std::int64_t kToldEveryMs = 30'000;      // what the disk looks like, also where nothing comes in
constexpr std::uint32_t kCheckpointPages = 1000;   // more makes the worst commit slower, fewer the wear higher
constexpr std::size_t kTrimmedPerCommitMin = 256;  // and twice what is recorded: the trace always shrinks to its time

}  // namespace

Committer::Background Committer::work() {
  if (closed_) return Background::none;
  if (recovery_.due_ms() > clocks_.uptime_ms()) {
    if (gives_back_at_ms_ <= clocks_.uptime_ms() || gate_.closed_by_disk())
      plan_giving_back(trim_kept_for_space() || give_back_space());
    if (looks_at_ms() > clocks_.uptime_ms()) return Background::none;
    look_at_disk(true);
    looked_ms_ = clocks_.uptime_ms();
    return Background::looked;
  }
  const Moment at{clocks_.wall_ms(), store_->opened().boot, clocks_.uptime_ms(), disk_.seen().clock_synced};
  const Recovery::Did did = recovery_.work(store_, at);
  fault_ = recovery_.trouble();
  if (did == Recovery::Did::replaced_store) {
    if (const Result<void> usable = use_store(); !usable) {
      store_->rollback();
      set_fault(usable.error());
    }
  }
  if (did == Recovery::Did::imported) {
    if (const Result<void> rebuilt = known_.reload(*store_, config_.dedup_window); !rebuilt) set_fault(rebuilt.error());
    note_oldest();
    return Background::imported;
  }
  if (did == Recovery::Did::part && recovery_.importing()) checkpoint_if_due();
  return Background::recovering;
}

void Committer::look_at_disk(bool at_once) {
  const bool may_write = fault_.empty();
  const Result<bool> looked =
      at_once ? disk_.look_now(*store_, clocks_, may_write) : disk_.look(*store_, clocks_, may_write);
  if (!looked && is_fault(looked.error())) set_fault(looked.error());
  // What is written into a file that has lost its name would be gone with this process.
  if (looked && *looked && fault_.empty() && !disk_.seen().files_are_there)
    set_fault({Errc::storage, "its files were removed or replaced while they were in use"});
}

std::int64_t Committer::looks_at_ms() const { return closed_ ? INT64_MAX : looked_ms_ + kToldEveryMs; }

Result<void> Committer::trim(const Moment& at) {
  const std::size_t rows_max = kTrimmedPerCommitMin + 2 * departures_written_;
  if (const Result<bool> trimmed = trim_kept(at, rows_max); !trimmed) return tl::unexpected(trimmed.error());
  return store_->trim_trace(to_ms(std::max(config_.dedup_window, config_.keep_delivered)), at, rows_max);
}

Result<bool> Committer::trim_kept(const Moment& at, std::size_t rows_max) {
  return store_->trim_kept(to_ms(config_.keep_delivered), kept_bytes_max(config_, gate_.closed_by_disk()), at,
                           rows_max);
}

bool Committer::trim_kept_for_space() {
  if (closed_ || !fault_.empty() || reads_wait() || !gate_.closed_by_disk() || store_->figures().kept_messages == 0)
    return false;
  const Moment at = now();
  known_.begin();
  departures_written_ = 0;
  Result<void> done = store_->begin();
  Result<bool> more = false;
  if (done) {
    more = trim_kept(at, kTrimmedPerCommitMin);
    done = more ? store_->commit() : tl::unexpected(more.error());
  }
  if (done) return *more;
  failed(done.error(), at.uptime_ms);
  return false;
}

void Committer::checkpoint_if_due() {
  const std::uint32_t pages = store_->wal_pages();
  if (pages < wal_pages_copied_) wal_pages_copied_ = 0;  // the WAL began anew
  if (!fault_.empty() || pages - wal_pages_copied_ < kCheckpointPages) return;
  checkpoint();
}

void Committer::checkpoint() {
  wal_pages_copied_ = store_->wal_pages();  // a reader may hold some back: tried again when as many pages have come
  const Result<void> copied = store_->checkpoint();
  syncs_ += 2;
  if (!copied && is_fault(copied.error())) set_fault(copied.error());
}

void Committer::plan_giving_back(bool more) {
  gives_back_at_ms_ = !more                    ? INT64_MAX
                      : gate_.closed_by_disk() ? INT64_MIN
                                               : std::max(clocks_.uptime_ms(), worked_ms_ + kIdleMs);
}

bool Committer::give_back_space() {
  if (closed_ || !fault_.empty() || reads_wait()) return false;
  const Result<std::uint32_t> free_pages = store_->free_pages();
  if (!free_pages || *free_pages < (gate_.closed_by_disk() ? kFreePagesKept : kFreePagesKeptIdle)) return false;
  const Result<void> vacuumed = store_->vacuum(kPagesGivenBack);
  if (!vacuumed) {
    if (is_fault(vacuumed.error())) set_fault(vacuumed.error());
    return false;
  }
  const Result<std::uint32_t> left = store_->free_pages();
  if (!left || *left >= *free_pages) return false;
  // The file itself shrinks with the checkpoint.
  const Result<void> copied = store_->checkpoint();
  if (!copied && is_fault(copied.error())) set_fault(copied.error());
  look_at_disk(true);
  return fault_.empty();
}

void Committer::close() {
  if (closed_) return;
  closed_ = true;
  if (!fault_.empty() || !departures_.empty() || reads_wait()) return;
  // SQLite takes all that it finds in a WAL for something to copy. A start that fails comes again every few seconds,
  // and must not wear out flash.
  if (!home_.was_clean() || !store_->is_as_found()) {
    // Figures alone (duplicates answered since the last commit) are no reason to commit before.
    store_->persist_figures();
    Result<void> saved = store_->begin();
    if (saved) saved = store_->commit();
    if (!saved) return failed(saved.error(), clocks_.uptime_ms());
    // Nothing stays in the WAL that could be damaged meanwhile, or hide what the database has of it. Where a reader is
    // in the way, the frames that fill the last commit's sector are synced, too: after a clean stop nobody completes
    // them.
    const Result<bool> emptied = store_->empty_wal();
    if (!emptied && is_fault(emptied.error())) return set_fault(emptied.error());
    reserve_blocks(home_.files().wal, kWalReserveBytes);  // or whoever fills the disk has them before the next start
    if (const Result<void> synced = sync_file(home_.files().wal); !synced) return set_fault(synced.error());
  }
  figures_at_close_ = store_->figures();
  store_.reset();  // SQLite is done with the files
  if (Result<void> marked = home_.mark_clean(); !marked) log::warn("store.run_file", {{"error", marked.error().what}});
}

}  // namespace twinspool
