// Telemetry that survives power loss, from our 204 until the cloud's.
//
// A writer thread owns the one SQLite connection that writes and checkpoints. Every call here is made on the loop
// thread and returns at once; callbacks run on the loop thread, once the commit they waited for is durable or has
// failed: those of appends in call order, those of reads in call order. A read does not wait for a commit, and never
// returns a row that has not passed on_committed() before. What is called during one turn of the loop reaches the
// writer together, so a client's whole pipeline shares a commit. A refusal that needs no look at the store (inbox,
// shutting down) comes on the next turn.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "net/event_loop.h"
#include "spool/clocks.h"
#include "spool/telemetry.h"
#include "util/error.h"
#include "util/histogram.h"

namespace twinspool {

struct Receipt {  // of an append
  Sequence sequence = 0;
  bool duplicate = false;  // the same (twin, component, Message-Id, body) was accepted within the window: `sequence` is
                           // the first one's
};

enum class Refusal : std::uint8_t {  // why an append was not stored
  message_id_reused,  // same (twin, component, Message-Id), another body: 400, innererror MessageIdReused
  quota,              // of the source: 429; without retry_after the append alone is more than the quota: 413
  inbox_full,         // 503
  storage,            // the commit failed, or the store does not take writes any more: 503
  shutting_down,      // 503
  queue_full,         // store.max_size or store.max_messages: 507
  disk_full,          // store.min_free, or the disk itself: 507
};
constexpr std::size_t kReusedNamedMax = 100;
struct Refused {
  Refusal why;
  std::string what;        // for the sender
  Duration retry_after{};  // zero: a permanent refusal
  std::vector<std::size_t> which =
      {};  // message_id_reused: the messages of the append, the first kReusedNamedMax of them
};
using Appended = std::function<void(tl::expected<Receipt, Refused>)>;

// Where appends come from, such as a socket, and how much of it may be queued at the same time (0: any).
struct SourceConfig {
  std::string name;
  QuotaConfig quota;
};
using Source = std::uint32_t;  // its place among those that open() was given, from 1
constexpr Source kNoSource = 0;

struct Waiting {
  std::uint64_t messages = 0, bytes = 0;
  friend bool operator==(const Waiting&, const Waiting&) = default;
};

struct Finished {  // a message leaves the queue
  enum class How : std::uint8_t {
    delivered,
    quarantined,
    expired,  // by the spool itself: store.max_age
    dropped,  // by the spool itself: store.when_full: drop_oldest
  };
  Sequence sequence = 0;
  How how = How::delivered;
  int status = 0;             // the cloud's HTTP status, 0 where there was none
  std::string error_code;     // the cloud's, quarantined only
  std::string error_message;  // the cloud's or ours, quarantined only; at most kErrorTextBytesMax are kept
  std::uint32_t attempts = 1;
};

std::string_view to_string(Finished::How how);  // as the trace has it

// A lane that does not flow, noted for operators (view `lanes`) and for the daemon's next start. Best effort: written
// with the next commit.
struct LaneNote {
  TwinNumber twin = 0;
  std::string state;             // "held" or "retrying"; empty: the lane flows again, the note is deleted
  std::int64_t since_ms = 0;     // wall clock
  std::int64_t retry_at_ms = 0;  // wall clock
  int status = 0;
  std::string error_code;
};

// The forwarder's sequential read-ahead. Rows come in sequence order.
struct ReadRequest {
  Sequence after = 0;             // first candidate is after + 1
  Sequence through = UINT64_MAX;  // last candidate
  std::size_t messages_max = 256;
  std::size_t bytes_max = 1 << 20;      // stops after the row that reaches it
  std::size_t rows_scanned_max = 4096;  // bounds the time on the writer thread
  std::vector<TwinNumber> only;         // sorted; empty: every twin
};
struct ReadResult {
  std::vector<Message> messages;  // rows whose checksum is wrong are not here: the spool quarantines them itself
  Sequence scanned_through = 0;   // every wanted row up to here was returned; == through (or the newest row) at the end
  bool reached_end = false;       // no committed row behind scanned_through, within `through`
};

// What an operator does with messages that left the queue (spool/recall.h).
struct Recall {
  enum class What : std::uint8_t {
    replay,  // delivered and kept messages go to the tail again; they stay kept
    retry,   // quarantined ones go to the tail again
    purge,   // quarantined ones go for ever
  };
  What what = What::replay;
  std::string twin;                   // replay; empty: of every twin
  std::int64_t since_ms = 0;          // replay: delivered from then,
  std::int64_t until_ms = INT64_MAX;  // and before then; wall clock
  std::vector<Sequence> sequences;    // retry, purge: these; empty: all that are there
};
constexpr std::size_t kRecallsMax = 8;  // that wait or run; Errc::busy above
struct Recalled {
  std::uint64_t messages = 0, bytes = 0;  // done with, and durably
  std::uint64_t damaged = 0;              // passed over: their checksum is wrong, so they are never sent
  std::uint64_t unknown = 0;              // sequences that are not there
  std::string stopped;                    // not empty: it ended early, and why
  std::int64_t stopped_at_ms = 0;         // replay, for want of room: when the first one left out was delivered
};

struct SpoolStats {
  // running figures, persisted with every commit: accepted == queued + delivered + quarantined + dropped, always
  std::uint64_t queued_messages = 0, queued_bytes = 0;
  std::uint64_t accepted = 0, duplicates = 0, delivered = 0, quarantined = 0, dropped = 0;
  std::uint64_t expired = 0, lost = 0;              // of dropped: by store.max_age; not found in a damaged file. The
                                                    // others went by store.when_full: drop_oldest
  std::uint64_t quarantine_messages = 0;            // in the table now
  std::uint64_t replayed = 0, retried = 0;          // of accepted: what an operator put back counts as accepted again
  std::uint64_t kept_messages = 0, kept_bytes = 0;  // delivered, and kept for a replay
  std::vector<Waiting> sources;  // what is queued of each source that open() was given, in that order
  Sequence newest = 0;           // last sequence given
  Sequence oldest = 0;           // 0: the queue is empty
  std::int64_t oldest_accepted_ms = 0;
  // of this process
  std::uint64_t commits = 0, commit_failures = 0, rows_corrupt = 0;
  std::uint64_t syncs = 0;  // that commits and checkpoints asked the disk for: one a commit, two a checkpoint
  std::uint64_t wal_bytes = 0, file_bytes = 0, disk_free_bytes = 0;
  int wal_holder = 0;                  // a process whose open query keeps the WAL from beginning anew; 0: nobody
  std::size_t inbox_messages = 0;      // appends that wait or are being committed
  std::size_t unrecorded = 0;          // finished messages whose record is not on disk yet
  Duration sync_typical{};             // smoothed duration of a commit
  DurationHistogram commit_durations;  // of those that wrote
  std::string fault;                   // not empty: the store takes no writes, why, and what is being done about it
  std::int64_t fault_since_ms = 0;     // wall clock
  std::string degraded;                // not empty: the store had to be recovered, how, and what was lost
  std::int64_t degraded_since_ms = 0;  // wall clock
  bool ingest_closed_by_space = false;
};

class Spool {
 public:
  // Fresh messages on their way from commit to wire, in sequence order, right after their Appended callbacks ran.
  // Everything committed passes here exactly once; what the receiver does not keep it reads back later.
  using Committed = std::function<void(std::vector<Message>&& messages)>;

  enum class Writer : std::uint8_t { thread, none };  // none: tests and the simulation call commit_batch() themselves

  // Opens or creates the store; O(1) in the backlog. `loop` outlives the spool. Errors name the file and the remedy.
  static Result<std::unique_ptr<Spool>> open(const StoreConfig& config, net::EventLoop& loop,
                                             Writer writer = Writer::thread, SpoolClocks clocks = {},
                                             std::vector<SourceConfig> sources = {});
  virtual ~Spool() = default;  // commits what was accepted, records what was finished, joins the thread; a callback
                               // that has not run yet never will

  virtual void on_committed(Committed committed) = 0;  // once, before the first append
  virtual void on_unrecorded_fell(
      std::function<void()> callback) = 0;  // after a commit that recorded finished messages

  virtual void append(Source source, Telemetry message, Appended done) = 0;
  void append(Telemetry message, Appended done) { append(kNoSource, std::move(message), std::move(done)); }
  // All or nothing, one transaction (POST /telemetry:batch): one result a message, or one refusal for all.
  using BatchAppended = std::function<void(tl::expected<std::vector<Receipt>, Refused>)>;
  virtual void append_batch(Source source, std::vector<Telemetry> messages, BatchAppended done) = 0;
  void append_batch(std::vector<Telemetry> messages, BatchAppended done) {
    append_batch(kNoSource, std::move(messages), std::move(done));
  }
  // A message may be sent only between claim() and finish() or release(): so long no limit drops it. claim() is false
  // where it was dropped already: it has left the queue.
  virtual bool claim(Sequence sequence) = 0;
  virtual void release(Sequence sequence) = 0;
  virtual void finish(Finished finished) = 0;
  virtual void note_lane(LaneNote note) = 0;
  virtual void recall(Recall order, std::function<void(Result<Recalled>)> done) = 0;
  // The sequence that the deduplication window has for such a message; 0: it knows none.
  virtual void find_recent(Telemetry message, std::function<void(Sequence)> done) = 0;
  // `done` runs once the writer has ended what it is at, commits and checkpoints included: a sign that it goes on.
  virtual void ping(std::function<void()> done) = 0;
  virtual void read(ReadRequest request, std::function<void(Result<ReadResult>)> done) = 0;

  // Rows came to light that lie before those already read (a damaged file was salvaged): who reads must begin anew.
  virtual void on_recovered(std::function<void()> callback) = 0;
  // An operator knows of stats().degraded: it ends.
  virtual void acknowledge(std::function<void(Result<void>)> done) = 0;

  // New limits of a reload; only those that can change while running (the path cannot).
  virtual void reconfigure(const StoreConfig& config) = 0;

  // Refuses appends from now on (Refusal::shutting_down), commits what waits and what was finished, then `done`.
  virtual void flush_and_close(std::function<void()> done) = 0;

  virtual const SpoolStats& stats() const = 0;                           // as of the last commit the loop has heard of
  virtual const std::map<TwinNumber, LaneNote>& lane_notes() const = 0;  // those of earlier processes, too

  // Writer::none only: one group commit of what waits now, its callbacks queued on the loop. False where nothing
  // waited.
  virtual bool commit_batch() = 0;
};

}  // namespace twinspool
