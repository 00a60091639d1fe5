// How a store goes on after its disk failed under it or its file turned out to be damaged, without a visit.
//
//   sound ──(write or sync failed)──→ rebuilding: no write to the old files any more; every row goes into a new
//                                     generation through the connection that still sees them; then sound. Tried again
//                                     with a growing delay where that cannot be done (no room, the disk still fails)
//   sound ──(file is damaged)───────→ importing: a new generation takes messages in at once, and what Salvage finds in
//                                     the old file is carried over before anything is read for delivery; then sound
//
// The old files are kept (spool/generation.h), and the store is `degraded` until an operator acknowledges. Blocking, in
// slices; one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "spool/generation.h"
#include "spool/rebuild.h"
#include "spool/salvage_import.h"
#include "spool/store.h"
#include "spool/store_home.h"

namespace twinspool {

class Recovery {
 public:
  Recovery(StoreHome& home, const SpoolClocks& clocks);

  // At start: a store that is sound enough to take messages in, of the old file or of a new one.
  Result<std::unique_ptr<Store>> open();

  // The same, of whatever can be salvaged of the old file.
  Result<std::unique_ptr<Store>> open_salvaged(const std::string& why) { return begin_salvage(why, nullptr); }

  // While running: from now on `store` may only be read.
  void disk_failed(const Error& error);
  void found_damage(const Error& error);

  bool sound() const { return kind_ == Kind::none || kind_ == Kind::import; }             // messages may be taken in
  bool retrying() const { return delay_ms_ > 0; }                                         // the newest slice failed
  std::uint64_t still_to_come() const { return import_ ? import_->still_to_come() : 0; }  // of an import
  bool importing() const { return rows_missing_; }                                   // and none may be read or recorded
  std::int64_t due_ms() const { return kind_ == Kind::none ? INT64_MAX : due_ms_; }  // by uptime: when to call work()

  enum class Did : std::uint8_t { part, replaced_store, imported };
  // A slice. Never fails: what goes wrong is in trouble(), and is tried again.
  Did work(std::unique_ptr<Store>& store, const Moment& now);

  const std::string& trouble() const { return trouble_; }  // why there is no sound store, and what is being done
  const SalvageImport::Report& imported() const { return imported_; }  // the newest import that ended
  const std::string& kept_as() const { return aside_; }                // the newest damaged file
  const Degraded& degraded() const { return degraded_; }
  void degrade(const std::string& what);
  Result<void> acknowledge();

 private:
  enum class Kind : std::uint8_t { none, rebuild, salvage, import };

  Result<std::unique_ptr<Store>> begin_salvage(const std::string& why, const Store* damaged);
  Result<void> resume_import();
  Did rebuild(std::unique_ptr<Store>& store);
  Result<bool> rebuild_slice(std::unique_ptr<Store>& store);
  Did salvage(std::unique_ptr<Store>& store);
  Did import(Store& store, const Moment& now);
  void end_import();
  void failed(const Error& error);

  StoreHome& home_;
  const SpoolClocks& clocks_;
  Kind kind_ = Kind::none;
  bool rows_missing_ = false;  // an import has begun and has not ended, whatever comes between
  std::string cause_;          // of what is being recovered from
  std::string trouble_;
  std::int64_t due_ms_ = 0;
  std::int64_t delay_ms_ = 0;
  std::unique_ptr<Salvage> salvage_;  // kept for another try: closing its files would drop SQLite's locks
  std::unique_ptr<Rebuild> rebuild_;
  std::unique_ptr<SalvageImport> import_;
  SalvageImport::Report imported_;
  std::string aside_;
  Degraded degraded_;
};

}  // namespace twinspool
