// What one group commit does: decides about every append (duplicate? room?), writes what is to be written in one
// transaction, and knows what a failure means. Synchronous; one thread; no callbacks, no waiting.
//
//   sound ──(SQLITE_FULL)──→ sound: the appends are refused, what left the queue is still recorded, in the
//                            space of the reserve, which is held again before anything more is taken in
//   sound ──(I/O error)────→ fault: no write and no checkpoint on these files any more; the rows go into a new file,
//                            and it is sound again (spool/recovery.h)
//   sound ──(damage)───────→ the same, with what can be salvaged
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "spool/claims.h"
#include "spool/clocks.h"
#include "spool/deduplication.h"
#include "spool/disk_watch.h"
#include "spool/dropper.h"
#include "spool/recall.h"
#include "spool/recovery.h"
#include "spool/sequence_set.h"
#include "spool/source_quotas.h"
#include "spool/space.h"
#include "spool/spool.h"
#include "spool/store.h"
#include "spool/store_home.h"

namespace twinspool {

// Blocks held in the WAL from the start: half as much again as checkpoints let it grow to.
constexpr std::uint64_t kWalReserveBytes = 6 * kMiB;

using AppendAnswer = tl::expected<std::vector<Receipt>, Refused>;

// After which the files are not to be written to any more. Others pass: no space, a foreign lock, no memory.
inline bool is_fault(const Error& error) { return error.code == Errc::storage || error.code == Errc::corrupt; }

class Committer {
 public:
  struct Append {  // all or nothing
    Source source = kNoSource;
    std::vector<Telemetry> messages;
    std::vector<Deduplication::Key> keys = {};  // of the messages: commit() fills them in
  };
  struct Work {
    std::vector<Append> appends;
    std::vector<LaneNote> notes;
    bool record = false;  // also what has left the queue
    bool expire = false;  // drop what is over store.max_age
  };
  struct Outcome {
    std::vector<AppendAnswer> answers;  // one an append
    std::vector<Message> committed;     // in sequence order, duplicates left out
    std::size_t recorded = 0;           // of what was given to left()
    bool synced = false;                // something was written
  };

  static Result<std::unique_ptr<Committer>> open(const StoreConfig& config, SpoolClocks clocks,
                                                 std::vector<SourceConfig> sources);

  // Messages that left the queue: from now on read() passes over them. Recorded by a later commit.
  // Claims keeps them from being dropped until here.
  void left(std::vector<Finished> finished);
  std::size_t unrecorded() const { return departures_.size(); }

  // How long until the oldest message is over store.max_age; nullopt: never. Also tells the log when drops have ended.
  std::optional<Duration> expires_in();
  Claims& claims() { return claims_; }  // from any thread

  Outcome commit(Work work);
  Outcome recall(RecallRun& run);  // a slice; its messages are in Outcome::committed
  Sequence find_recent(const Telemetry& message);
  Result<ReadResult> read(const ReadRequest& request);
  void checkpoint_if_due();  // between commits, after their answers
  // What goes on behind, a slice a call: recovery, giving back space, and now and then a look at the disk. After every
  // commit, and at due_ms() of the uptime; INT64_MAX: nothing to do now.
  enum class Background : std::uint8_t { none, looked, recovering, imported };  // imported: rows came before those read
  Background work();
  std::int64_t due_ms() const { return std::min({recovery_.due_ms(), gives_back_at_ms_, looks_at_ms()}); }
  std::int64_t uptime_ms() const { return clocks_.uptime_ms(); }
  bool reads_wait() const { return recovery_.importing(); }  // rows are missing that must go first
  Result<void> acknowledge();                                // an operator knows of what stats().degraded says
  void reconfigure(const StoreConfig& config);
  void close();  // records, copies the WAL into the file, and marks the stop as clean; only reads may follow

  SpoolStats stats() const;  // without what only the spool knows
  Result<std::vector<LaneNote>> lane_notes() { return store_->lane_notes(); }

 private:
  static constexpr std::string_view kRefused = "refused";  // by the cloud: a quarantine reason

  Committer(const StoreConfig& config, SpoolClocks clocks, StoreHome home, std::vector<SourceConfig> sources);
  Result<void> open_store();
  Result<void> use_store();
  // A drained file keeps its size, so a disk that the queue filled would stay full for ever: free pages at the end of
  // the file go back to the file system, a slice a call, when nothing else is to be done, and at once while the disk
  // keeps the gate shut. False: nothing more to give now.
  bool give_back_space();
  bool trim_kept_for_space();  // before that: what is kept for a replay gives way first, a slice a call
  void plan_giving_back(bool more);
  Moment now();
  void look_at_disk(bool at_once = false);
  std::int64_t looks_at_ms() const;  // also where nothing comes in: others may fill the disk

  Result<void> try_commit(Work& work, const Moment& at, Outcome& outcome);
  Result<void> write_append(Append& append, const Moment& at, Outcome& outcome);
  std::size_t record_on_full_disk(Work work, const Moment& at);
  Result<void> make_room(const SpaceGate::Load& load, const Moment& at);
  Result<void> expire(const Moment& at);
  Result<void> drop(std::vector<Store::Departure> chosen, const Moment& at);
  Result<void> write_departures();
  Result<void> trim(const Moment& at);
  Result<bool> trim_kept(const Moment& at, std::size_t rows_max);
  void checkpoint();
  Result<void> ensure_writing();
  void conclude(Outcome& outcome);
  void failed(const Error& error, std::int64_t uptime_ms);
  void set_fault(const Error& error);
  static void refuse_all(Outcome& outcome, std::size_t count, const Refused& refused);
  void note_oldest();

  StoreConfig config_;
  SpoolClocks clocks_;
  StoreHome home_;
  Recovery recovery_{home_, clocks_};
  SpaceGate gate_;
  DiskWatch disk_{home_, gate_};  // before store_: it must outlive SQLite's use of the files
  std::unique_ptr<Store> store_;
  Deduplication known_;
  SourceQuotas sources_;
  Claims claims_;
  Dropper dropper_{claims_};
  std::vector<Store::Departure> departures_;  // not recorded yet, in the order they came
  SequenceSet leaving_;                       // the same, for read(); kept after a fault
  std::size_t recorded_max_;                  // by one commit
  Sequence first_uncommitted_ = 0;            // by the open transaction
  std::size_t departures_written_ = 0;        // by the open transaction
  std::vector<Telemetry*> appended_;          // by the open transaction: whose texts Outcome::committed gets

  std::string fault_;
  std::int64_t fault_since_ms_ = 0;
  bool closed_ = false;
  std::int64_t worked_ms_ = 0;                 // uptime of the last commit,
  std::int64_t looked_ms_ = 0;                 // and of the last look at the disk that was told though nothing came in
  std::int64_t gives_back_at_ms_ = INT64_MAX;  // uptime; INT64_MAX: there is no space to give back
  std::uint32_t wal_pages_copied_ = 0;
  bool disk_full_noted_ = false;  // in the log: once until an append is stored again
  bool refusal_noted_ = false;    // no memory, or somebody else's lock: once until a commit succeeds
  std::uint64_t commits_ = 0, commit_failures_ = 0, rows_corrupt_ = 0, syncs_ = 0;
  Store::Front oldest_;
  Figures figures_at_close_;
};

}  // namespace twinspool
