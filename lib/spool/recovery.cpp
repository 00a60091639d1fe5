#include "spool/recovery.h"

#include <algorithm>
#include <filesystem>

#include "util/log.h"

namespace twinspool {
namespace {

constexpr std::int64_t kDelayFirstMs = 1000;
constexpr std::int64_t kDelayMaxMs = 60'000;

std::string count_of(std::uint64_t count, const char* what) { return std::to_string(count) + " " + what; }

}  // namespace

Recovery::Recovery(StoreHome& home, const SpoolClocks& clocks)
    : home_(home), clocks_(clocks), degraded_(read_degraded(home.files())) {}

Result<std::unique_ptr<Store>> Recovery::open() {
  std::string damage = home_.damage();
  if (damage.empty()) {
    auto store = Store::open(home_.files().database, home_.is_new(), clocks_);
    if (store) {
      if (home_.wal_is_missing())
        degrade("the WAL is missing after a stop that was not clean (" + home_.files().wal +
                "): what came after the last checkpoint is lost");
      if (Result<void> resumed = resume_import(); !resumed) return tl::unexpected(resumed.error());
      return store;
    }
    if (store.error().code != Errc::corrupt || home_.is_new()) return store;
    damage = store.error().what;
  }
  return begin_salvage(damage, nullptr);
}

// A crash ended the process that began it.
Result<void> Recovery::resume_import() {
  const auto note = read_salvage_note(home_.files());
  if (!note) return {};
  std::error_code code;
  const bool switched = !std::filesystem::equivalent(note->database, home_.files().database, code);
  if (code) {
    log::error("store.salvage_ended", {{"file", note->database}, {"note", "it is gone: the rest of it is lost"}});
    degrade("the damaged file " + note->database + " was moved away before all of its rows were carried over");
  }
  if (code || !switched) {
    rows_missing_ = false;
    return remove_salvage_note(home_.files());
  }
  auto salvage = Salvage::open(note->database, note->wal);
  if (!salvage) return tl::unexpected(salvage.error());
  log::info("store.salvage_resumed", {{"file", note->database}});
  aside_ = note->database;
  import_ = std::make_unique<SalvageImport>(std::move(*salvage), *note);
  kind_ = Kind::import;
  rows_missing_ = true;
  due_ms_ = 0;
  return {};
}

Result<std::unique_ptr<Store>> Recovery::begin_salvage(const std::string& why, const Store* damaged) {
  const StoreFiles old = home_.files();
  if (!salvage_) {
    auto salvage = Salvage::open(old.database, old.wal);
    if (!salvage) return tl::unexpected(salvage.error());
    salvage_ = std::move(*salvage);
  }
  auto generation = Generation::begin(old);
  if (!generation) return tl::unexpected(generation.error());
  auto note = begin_store(generation->files().database, *salvage_, damaged);
  if (!note) return tl::unexpected(note.error());
  aside_ = aside_name(old, "corrupt", clocks_.wall_ms());
  note->database = aside_;
  note->wal = aside_ + "-wal";
  Result<void> done = write_salvage_note(old, *note);
  if (done) {
    degrade("the database was damaged (" + why + ") and is kept as " + aside_ +
            "; what can be read of it is being carried over");
    done = generation->switch_in(old, aside_);
  }
  if (!done) return tl::unexpected(done.error());
  log::error("store.damaged", {{"why", why}, {"kept_as", aside_}});
  home_.move_to(generation->files());
  if (Result<void> marked = home_.mark_running(); !marked)
    log::warn("store.run_file", {{"error", marked.error().what}});
  auto store = Store::open(home_.files().database, false, clocks_);
  if (!store) return store;
  import_ = std::make_unique<SalvageImport>(std::move(salvage_), *note);
  kind_ = Kind::import;
  rows_missing_ = true;
  due_ms_ = 0;
  cause_ = why;
  return store;
}

void Recovery::disk_failed(const Error& error) {
  if (kind_ == Kind::rebuild || kind_ == Kind::salvage) return;
  import_.reset();  // its note stays: the rebuilt store goes on with it
  kind_ = Kind::rebuild;
  cause_ = error.what;
  due_ms_ = delay_ms_ = 0;
  trouble_ = "the queue takes no writes after an I/O error (" + cause_ +
             "); what it holds is kept, and is being carried over into a new file";
  home_.mark_io_error();
}

void Recovery::found_damage(const Error& error) {
  if (kind_ == Kind::salvage) return;
  rebuild_.reset();
  import_.reset();
  kind_ = Kind::salvage;
  cause_ = error.what;
  due_ms_ = delay_ms_ = 0;
  trouble_ = "the database is damaged (" + cause_ + "); what can be read of it is being carried over into a new file";
}

void Recovery::failed(const Error& error) {
  delay_ms_ = std::min(std::max(2 * delay_ms_, kDelayFirstMs), kDelayMaxMs);
  due_ms_ = clocks_.uptime_ms() + delay_ms_;
  trouble_ = std::string("the queue takes no messages: ") +
             (kind_ == Kind::salvage ? "the database is damaged (" : "a write to the disk failed (") + cause_ +
             "), and a new file cannot be made of it yet (" + error.what +
             "); what the queue holds is kept; free space or put the disk right, it is tried again by itself";
  log::error("store.recovery_failed", {{"error", error.what}, {"again_in_ms", delay_ms_}});
}

Recovery::Did Recovery::work(std::unique_ptr<Store>& store, const Moment& now) {
  switch (kind_) {
    case Kind::none:
      return Did::part;
    case Kind::rebuild:
      return rebuild(store);
    case Kind::salvage:
      return salvage(store);
    case Kind::import:
      return import(*store, now);
  }
  return Did::part;
}

Recovery::Did Recovery::rebuild(std::unique_ptr<Store>& store) {
  const Result<bool> more = rebuild_slice(store);
  if (more) return *more ? Did::part : Did::replaced_store;
  rebuild_.reset();
  if (more.error().code == Errc::corrupt)
    found_damage(more.error());
  else
    failed(more.error());
  return Did::part;
}

// False: `store` is the new one.
Result<bool> Recovery::rebuild_slice(std::unique_ptr<Store>& store) {
  const StoreFiles old = home_.files();
  if (!rebuild_) {
    auto begun = Rebuild::begin(old);
    if (!begun) return tl::unexpected(begun.error());
    rebuild_ = std::move(*begun);
  }
  const Result<bool> more = rebuild_->step(store->database());
  if (!more || *more) return more;
  const std::string aside = aside_name(old, "failed", clocks_.wall_ms());
  if (Result<void> switched = rebuild_->generation().switch_in(old, aside); !switched)
    return tl::unexpected(switched.error());
  home_.move_to(rebuild_->generation().files());
  auto fresh = Store::open(home_.files().database, false, clocks_);
  if (!fresh) return tl::unexpected(fresh.error());
  if (Result<void> marked = home_.mark_running(); !marked) return tl::unexpected(marked.error());
  kind_ = Kind::none;
  if (Result<void> resumed = resume_import(); !resumed) {
    kind_ = Kind::rebuild;  // tried again, through the connection that still sees all
    return tl::unexpected(Error{Errc::storage, resumed.error().what});
  }
  store = std::move(*fresh);
  const Rebuild::Report& report = rebuild_->report();
  degrade("a write to the disk failed (" + cause_ + "); all " + count_of(report.messages, "waiting messages") +
          " were carried over into a new file and read back, " + std::to_string(report.damaged) +
          " of them damaged before; the old file is kept as " + aside + "; check the disk");
  log::info("store.rebuilt", {{"messages", report.messages}, {"rows", report.rows}, {"old_kept_as", aside}});
  rebuild_.reset();
  trouble_.clear();
  return false;
}

Recovery::Did Recovery::salvage(std::unique_ptr<Store>& store) {
  auto fresh = begin_salvage(cause_, store.get());
  if (!fresh) {
    failed(fresh.error());
    return Did::part;
  }
  store = std::move(*fresh);
  trouble_.clear();
  return Did::replaced_store;
}

Recovery::Did Recovery::import(Store& store, const Moment& now) {
  Result<void> begun = store.begin();
  Result<bool> more = begun ? import_->step(store, now) : Result<bool>(tl::unexpected(begun.error()));
  if (more) {
    if (Result<void> committed = store.commit(); !committed) more = tl::unexpected(committed.error());
  }
  if (!more) {
    store.rollback();
    import_->undo();
    if (more.error().code == Errc::storage || more.error().code == Errc::invalid) {
      disk_failed(more.error());
    } else if (more.error().code == Errc::corrupt) {
      found_damage(more.error());
    } else {
      failed(more.error());
      trouble_.clear();  // messages are taken in; what is salvaged waits for room
    }
    return Did::part;
  }
  delay_ms_ = 0;
  if (*more) return Did::part;
  end_import();
  return Did::imported;
}

void Recovery::end_import() {
  // Before anything is read for delivery: what is delivered must not be carried over again.
  if (Result<void> removed = remove_salvage_note(home_.files()); !removed) {
    failed(removed.error());
    trouble_.clear();
    return;
  }
  imported_ = import_->report();
  const SalvageImport::Report& report = imported_;
  const std::string lost = report.queued_known ? std::to_string(report.lost) + " were lost"
                                               : "how many were lost is not known, its figures were damaged too";
  degrade("the database was damaged" + (cause_.empty() ? std::string() : " (" + cause_ + ")") + "; " +
          count_of(report.messages, "messages") + " were salvaged, " + std::to_string(report.quarantined) +
          " damaged ones are in the quarantine, " + lost + "; the old file is kept as " + aside_);
  log::error("store.salvaged", {{"messages", report.messages},
                                {"quarantined", report.quarantined},
                                {"lost", report.lost},
                                {"damaged_pages", report.damaged_pages},
                                {"kept_as", aside_}});
  import_.reset();
  kind_ = Kind::none;
  rows_missing_ = false;
  cause_.clear();
}

// The newest is said first; what was not acknowledged before stays behind it.
void Recovery::degrade(const std::string& what) {
  const bool goes_on = degraded_.what.starts_with("the database was damaged") &&
                       degraded_.what.find(aside_) != std::string::npos && !aside_.empty();
  std::string before = goes_on || degraded_.since_ms == 0 ? std::string() : "; before that: " + degraded_.what;
  degraded_ = {degraded_.since_ms != 0 ? degraded_.since_ms : clocks_.wall_ms(), what + before};
  if (Result<void> written = write_degraded(home_.files(), degraded_); !written)
    log::error("store.degraded", {{"what", what}, {"error", written.error().what}});
}

Result<void> Recovery::acknowledge() {
  if (Result<void> removed = acknowledge_degraded(home_.files()); !removed) return removed;
  if (degraded_.since_ms != 0) log::info("store.acknowledged", {{"what", degraded_.what}});
  degraded_ = {};
  return {};
}

}  // namespace twinspool
