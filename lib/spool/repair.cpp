#include "spool/repair.h"

#include "spool/columns.h"
#include "spool/loss_count.h"
#include "spool/recovery.h"

namespace twinspool {

Result<RepairReport> plan_repair(const std::string& path) {
  const Result<StoreFiles> files = locate_files(path);
  if (!files) return tl::unexpected(files.error());
  const Result<FileState> state = inspect(*files);
  if (!state) return tl::unexpected(state.error());
  if (*state == FileState::absent) return fail(Errc::invalid, "there is no file " + files->database);
  const Result<StoreLock> lock = StoreLock::take(*files);
  if (!lock) return tl::unexpected(lock.error());
  auto opened = Salvage::open(files->database, files->wal);
  if (!opened) return tl::unexpected(opened.error());
  Salvage& salvage = **opened;
  if (!salvage.looks_like_ours())
    return fail(Errc::invalid, "nothing in " + files->database + " looks like a store of twinspool");
  while (salvage.survey(4096)) {
  }
  RepairReport report;
  report.database = files->database;
  LossCount losses(0, 1);
  for (const TableShape& table : salvage.tables()) {
    const auto figures = table.name == "figures" ? salvage.figures() : std::nullopt;
    if (!figures) continue;
    const auto figure = [&](const char* column) {
      return as_unsigned(std::get<std::int64_t>(figures->values[table.column(column)]));
    };
    losses = LossCount(figure("queued_messages"), figure("next_sequence"));
    report.lost_known = true;
  }
  SequenceSet seen;
  for (std::size_t i = 0; i < salvage.tables().size(); ++i) {
    const TableShape& table = salvage.tables()[i];
    if (table.name != "messages") continue;
    for (Salvage::Cursor at = 0; const auto rows = salvage.rows(i, at); ++at) {
      for (const Row& row : *rows) {
        if (row.id <= 0 || seen.contains(static_cast<Sequence>(row.id))) continue;
        const bool sound = salvage.verified(table, row).has_value();
        ++(sound ? report.messages : report.damaged);
        losses.found(as_unsigned(row.id), sound);
        if (sound) seen.add(as_unsigned(row.id));
      }
    }
  }
  if (report.lost_known) report.lost = losses.lost();
  report.damaged_pages = salvage.damaged_pages();
  return report;
}

Result<RepairReport> apply_repair(const std::string& path) {
  const Result<StoreFiles> there = locate_files(path);
  if (!there) return tl::unexpected(there.error());
  if (const Result<FileState> state = inspect(*there); !state || *state == FileState::absent)
    return state ? fail(Errc::invalid, "there is no file " + there->database) : tl::unexpected(state.error());
  const SpoolClocks clocks;
  Result<StoreHome> home = StoreHome::open(path, clocks.boot_id);
  if (!home) return tl::unexpected(home.error());
  if (read_salvage_note(home->files()))
    return fail(Errc::busy, "a salvage of an older file is not over: start twinspoold, which goes on with it");
  RepairReport report;
  report.database = home->files().database;
  Recovery recovery(*home, clocks);
  auto store = recovery.open_salvaged("repaired by hand");
  if (!store) return tl::unexpected(store.error());
  while (recovery.importing()) {
    const Moment now{clocks.wall_ms(), (*store)->opened().boot, clocks.uptime_ms(), clocks.synchronized()};
    (void)recovery.work(*store, now);
    if (!recovery.sound()) return fail(Errc::storage, recovery.trouble());
    if (recovery.retrying()) return fail(Errc::full, "no room for the new file: the next try goes on where this ended");
  }
  const SalvageImport::Report& done = recovery.imported();
  report.messages = done.messages;
  report.damaged = done.quarantined;
  report.lost = done.lost;
  report.lost_known = done.queued_known;
  report.damaged_pages = done.damaged_pages;
  report.kept_as = recovery.kept_as();
  if (Result<bool> emptied = (*store)->empty_wal(); !emptied) return tl::unexpected(emptied.error());
  if (Result<void> synced = sync_file(home->files().wal); !synced) return tl::unexpected(synced.error());
  store->reset();
  if (Result<void> marked = home->mark_clean(); !marked) return tl::unexpected(marked.error());
  return report;
}

}  // namespace twinspool
