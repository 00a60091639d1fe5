// Takes messages off the front of the queue for a limit: store.max_age, or store.max_size and store.max_messages with
// store.when_full: drop_oldest. In sequence order, never one that is on its way to the cloud. Writer thread.
//
// It chooses and tells; the committer records. What was chosen has left for good, also where the commit fails: the
// forwarder may have let go of it, so it is recorded by the next one.
#pragma once

#include <vector>

#include "spool/claims.h"
#include "spool/retention.h"
#include "spool/sequence_set.h"
#include "spool/store.h"

namespace twinspool {

class Dropper {
 public:
  explicit Dropper(Claims& claims) : claims_(claims) {}

  // Oldest first until `excess` is covered, or nothing is left that may go: `leaving` has left already, and the
  // sequence of what is not committed yet, `uncommitted` and beyond, may be given again.
  Result<std::vector<Store::Departure>> choose_oldest(Store& store, const SequenceSet& leaving, Excess excess,
                                                      Sequence uncommitted, const Moment& at);
  // Those at the front that have waited for `max_age_ms`, at most `rows_max`.
  Result<std::vector<Store::Departure>> choose_expired(Store& store, const SequenceSet& leaving,
                                                       std::int64_t max_age_ms, std::size_t rows_max, const Moment& at);

  void note(const std::vector<Store::Departure>& dropped, std::int64_t uptime_ms);  // to the log, once an episode
  void note_quiet(std::int64_t uptime_ms);

 private:
  Claims& claims_;
  DropEpisode expired_, full_;
};

}  // namespace twinspool
