// Carries what Salvage finds over into a new store: what must be there before anything is accepted at once, the rest
// slice by slice while new messages come in. They get higher sequences, so the order in each twin stays; nothing is
// read for delivery until all is carried over, because a row that is still missing would be overtaken.
//
// Can be begun again after a crash: rows that are there already are passed over.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "spool/clocks.h"
#include "spool/files.h"
#include "spool/loss_count.h"
#include "spool/salvage.h"
#include "spool/sequence_set.h"
#include "spool/store.h"

namespace twinspool {

struct SalvageNote {           // queue.db.salvage: an import is under way
  std::string database, wal;   // where from
  Sequence next_sequence = 1;  // of the new store, when it began
  std::uint64_t queued = 0;    // what the figures of the damaged store said it held
  Sequence figures_next = 1;   // and below which sequence
  bool queued_known = false;
  bool digests_known = false;  // the key of the deduplication window was carried over
};
Result<void> write_salvage_note(const StoreFiles& files, const SalvageNote& note);
std::optional<SalvageNote> read_salvage_note(const StoreFiles& files);
Result<void> remove_salvage_note(const StoreFiles& files);

// Makes `database`, an empty file, a store that knows the damaged one's identity, names and figures, synced and closed.
// `damaged`: where it is open still. Its key and figures are in memory and need not be believed the file.
Result<SalvageNote> begin_store(const std::string& database, Salvage& salvage, const Store* damaged);

class SalvageImport {
 public:
  struct Report {                   // of this process
    std::uint64_t messages = 0;     // carried over
    std::uint64_t quarantined = 0;  // damaged: their checksum does not match
    std::uint64_t lost = 0;         // said to be queued, and not found; only with queued_known
    bool queued_known = false;
    std::uint64_t damaged_pages = 0;
  };

  SalvageImport(std::unique_ptr<Salvage> salvage, SalvageNote note);

  // One slice, within a transaction of `store`. True: there is more. After a rollback, undo() makes it be done again.
  Result<bool> step(Store& store, const Moment& now);
  void undo();

  std::uint64_t still_to_come() const;  // messages, by what its figures said; at least one
  const Report& report() const { return place_.report; }
  const SalvageNote& note() const { return note_; }

 private:
  Result<bool> copy_leaf(Store& store, const Moment& now);
  Result<void> copy_message(Store& store, const Row& row, const Moment& now);
  Result<void> copy_other(Store& store, const Row& row);
  Result<void> quarantine(Store& store, const Row& row, const Moment& now);
  Result<void> finish(Store& store);
  Result<void> prepare(Store& store);
  const TableShape& table() const { return salvage_->tables()[order_[place_.table]]; }

  std::unique_ptr<Salvage> salvage_;
  SalvageNote note_;
  std::vector<std::size_t> order_;  // tables that are carried over in slices, messages last
  struct Place {
    std::size_t table = 0;  // of order_
    Salvage::Cursor cursor = 0;
    Report report;
    LossCount losses;
  };
  Place place_;
  Place before_ = place_;                                 // of the newest slice
  std::optional<sqlite::Statement> insert_, quarantine_;  // of the store they are prepared for
  std::optional<Digester> digester_;
  SequenceSet left_;  // by the trace: a row of theirs on a stray page has left the queue
};

}  // namespace twinspool
