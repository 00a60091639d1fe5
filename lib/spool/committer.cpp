#include "spool/committer.h"

#include <algorithm>

#include "util/log.h"

namespace twinspool {
namespace {

constexpr std::size_t kRecordedPerCommitMax = 4096;
constexpr std::size_t kRecordedOnFullDiskMax = 64;  // a commit of few pages
constexpr std::string_view kDamaged = "checksum";   // a quarantine reason
constexpr Duration kSalvagedBeforeStart = std::chrono::seconds(1);
constexpr Duration kRetryAfterFault = std::chrono::seconds(30);

}  // namespace

Result<std::unique_ptr<Committer>> Committer::open(const StoreConfig& config, SpoolClocks clocks,
                                                   std::vector<SourceConfig> sources) {
  Result<StoreHome> home = StoreHome::open(config.path, clocks.boot_id);
  if (!home) return tl::unexpected(home.error());
  // A store gets its run file, the witness that it exists, only once it does.
  const bool is_new = home->is_new();
  const bool is_complete = home->is_complete();
  if (is_complete) {
    if (Result<void> marked = home->mark_running(); !marked) return tl::unexpected(marked.error());
  }
  std::unique_ptr<Committer> committer(new Committer(config, std::move(clocks), std::move(*home), std::move(sources)));
  if (Result<void> opened = committer->open_store(); !opened) {
    if (opened.error().code == Errc::storage && !is_new) committer->home_.mark_io_error();
    return tl::unexpected(opened.error());
  }
  if (!is_complete) {
    if (Result<void> marked = committer->home_.mark_running(); !marked) return tl::unexpected(marked.error());
  }
  return committer;
}

Committer::Committer(const StoreConfig& config, SpoolClocks clocks, StoreHome home, std::vector<SourceConfig> sources)
    : config_(config),
      clocks_(std::move(clocks)),
      home_(std::move(home)),
      gate_(config),
      sources_(std::move(sources)),
      recorded_max_(kRecordedPerCommitMax) {}

Result<void> Committer::open_store() {
  Result<std::unique_ptr<Store>> store = recovery_.open();
  if (!store) return tl::unexpected(store.error());
  store_ = std::move(*store);
  Result<void> usable = use_store();
  if (usable) usable = known_.load(*store_, config_.dedup_window);
  if (usable) usable = store_->lane_notes().map([](const auto&) {});  // are asked for next
  if (!usable) {
    if (usable.error().code != Errc::corrupt) return usable;
    store_->rollback();
    set_fault(usable.error());
  }
  // A small file is salvaged at once; a large one while messages come in.
  const TimePoint end = monotonic_now() + kSalvagedBeforeStart;
  while (recovery_.due_ms() <= clocks_.uptime_ms() && monotonic_now() < end) work();
  return {};
}

// After it was opened, or replaced by another generation.
Result<void> Committer::use_store() {
  reserve_blocks(home_.files().wal, kWalReserveBytes);
  home_.remember_files();
  disk_.store_opened();
  known_.use_key(store_->digest_key());
  wal_pages_copied_ = 0;
  look_at_disk(true);
  looked_ms_ = clocks_.uptime_ms();
  note_oldest();
  return sources_.find_numbers(*store_);
}

Result<void> Committer::acknowledge() { return recovery_.acknowledge(); }

Moment Committer::now() {
  look_at_disk();
  return Moment{clocks_.wall_ms(), store_->opened().boot, clocks_.uptime_ms(), disk_.seen().clock_synced};
}

Committer::Outcome Committer::recall(RecallRun& run) {
  Outcome outcome;
  const Moment at = now();
  if (!fault_.empty()) {
    run.stop(fault_);
    return outcome;
  }
  if (reads_wait()) {  // the tables are not whole, and what is done to them might be done again
    run.stop("what was salvaged is still being carried over: try again when the status says that it was");
    return outcome;
  }
  known_.begin();
  departures_written_ = 0;
  appended_.clear();
  const auto admit = [&](std::uint64_t bytes) {
    const Figures& figures = store_->figures();
    return gate_.admit({1, bytes}, {figures.queued_messages, figures.queued_bytes, disk_.seen().free_bytes},
                       at.uptime_ms);
  };
  const auto body_digest = [&](const Telemetry& message) { return known_.body_digest(message); };
  Result<void> done = run.step(*store_, admit, body_digest, at, outcome.committed);
  const bool wrote = done && store_->writing();
  if (wrote) done = store_->commit();
  if (!done) {
    failed(done.error(), at.uptime_ms);
    run.stop(fault_.empty() ? done.error().what : fault_);
    return {};
  }
  run.committed();
  if (wrote) conclude(outcome);
  return outcome;
}

Sequence Committer::find_recent(const Telemetry& message) {
  const auto known = known_.find(known_.key_of(message), clocks_.uptime_ms());
  return known ? known->sequence : 0;
}

Committer::Outcome Committer::commit(Work work) {
  Outcome outcome;
  const Moment at = now();
  if (!fault_.empty()) {
    refuse_all(outcome, work.appends.size(), {Refusal::storage, fault_, kRetryAfterFault});
    return outcome;
  }
  if (reads_wait()) work.record = false;  // their rows may still be missing
  known_.expire(at.uptime_ms);
  Result<void> committed = try_commit(work, at, outcome);
  if (committed) return outcome;

  failed(committed.error(), at.uptime_ms);
  outcome = Outcome{};
  const bool full = committed.error().code == Errc::full;
  refuse_all(outcome, work.appends.size(),
             {full ? Refusal::disk_full : Refusal::storage, fault_.empty() ? committed.error().what : fault_,
              kRetryAfterFault});
  if (full && work.record) outcome.recorded = record_on_full_disk(std::move(work), at);
  return outcome;
}

// A full disk must not stop the drain. With the reserve given up the WAL can be copied; then it begins anew, over
// blocks that it has, so that nobody else can take them.
std::size_t Committer::record_on_full_disk(Work work, const Moment& at) {
  work.appends.clear();
  work.expire = false;
  disk_.give_up_reserve();
  checkpoint();
  if (!fault_.empty()) return 0;
  Outcome outcome;
  recorded_max_ = kRecordedOnFullDiskMax;
  const Result<void> recorded = try_commit(work, at, outcome);
  recorded_max_ = kRecordedPerCommitMax;
  if (recorded) return outcome.recorded;
  failed(recorded.error(), at.uptime_ms);
  return 0;
}

Result<void> Committer::try_commit(Work& work, const Moment& at, Outcome& outcome) {
  known_.begin();
  departures_written_ = 0;
  appended_.clear();
  first_uncommitted_ = store_->figures().next_sequence;
  if (work.expire) {
    if (Result<void> expired = expire(at); !expired) return expired;
  }
  // What leaves goes first: it makes room, and SQLite puts what comes on the pages that it frees. They are in this
  // commit already, where pages that were free before would be written beside them.
  if (work.record && !departures_.empty()) {
    if (Result<void> written = write_departures(); !written) return written;
  }
  if (departures_written_ > 0) {
    if (Result<void> trimmed = trim(at); !trimmed) return trimmed;
  }
  outcome.answers.reserve(work.appends.size());
  outcome.committed.reserve(work.appends.size());
  appended_.reserve(work.appends.size());
  for (Append& append : work.appends) {
    append.keys.reserve(append.messages.size());
    for (const Telemetry& message : append.messages) known_.expect(append.keys.emplace_back(known_.key_of(message)));
  }
  for (Append& append : work.appends) {
    if (Result<void> written = write_append(append, at, outcome); !written) return written;
  }
  for (const LaneNote& note : work.notes) {
    if (Result<void> begun = ensure_writing(); !begun) return begun;
    if (Result<void> noted = store_->note(note); !noted) return noted;
  }
  if (!store_->writing()) return {};  // duplicates and refusals only: nothing that a sync would make more true
  const bool on_full_disk = recorded_max_ == kRecordedOnFullDiskMax;
  if (!on_full_disk) {
    if (Result<void> logged = known_.write(*store_, departures_written_, at); !logged) return logged;
  }
  if (Result<void> committed = store_->commit(); !committed) return committed;
  conclude(outcome);
  if (departures_written_ > 0) {  // there may be room again, and whoever waits for it to be told does not append
    const Figures& figures = store_->figures();
    (void)gate_.admit({1, kRowOverheadBytes}, {figures.queued_messages, figures.queued_bytes, disk_.seen().free_bytes},
                      at.uptime_ms);
  }
  return {};
}

Result<void> Committer::ensure_writing() { return store_->writing() ? Result<void>{} : store_->begin(); }

// All of `messages` or none: decided before the first row is written, so that a refusal leaves the transaction, and the
// other appends in it, as they were.
Result<void> Committer::write_append(Append& append, const Moment& at, Outcome& outcome) {
  std::vector<Telemetry>& messages = append.messages;
  const std::int64_t window_ms = to_ms(config_.dedup_window);
  const std::size_t added_before = known_.added();
  Sequence next = store_->figures().next_sequence;
  SpaceGate::Load load;
  std::vector<Receipt> receipts;
  receipts.reserve(messages.size());
  std::optional<Refused> refused;
  for (std::size_t index = 0; index < messages.size(); ++index) {
    const Telemetry& telemetry = messages[index];
    const Deduplication::Key& key = append.keys[index];
    if (window_ms > 0) {
      if (const auto known = known_.find(key, at.uptime_ms)) {
        if (known->body != key.body) {
          if (!refused)
            refused = Refused{Refusal::message_id_reused,
                              "Message-Id " + telemetry.message_id + " was accepted for this twin with another body",
                              {}};
          if (refused->which.size() < kReusedNamedMax) refused->which.push_back(index);
        }
        receipts.push_back({known->sequence, true});
        continue;
      }
      known_.add(key, next, at.uptime_ms + window_ms);
    }
    receipts.push_back({next++, false});
    ++load.messages;
    load.bytes += weight(telemetry);
  }
  const Figures& figures = store_->figures();
  if (!refused && load.messages > 0) refused = sources_.why_over(append.source, load, figures);
  if (!refused && load.messages > 0 && config_.when_full == WhenFull::drop_oldest) {
    if (Result<void> made = make_room(load, at); !made) return made;
  }
  if (!refused && load.messages > 0)
    refused = gate_.admit(load, {figures.queued_messages, figures.queued_bytes, disk_.seen().free_bytes}, at.uptime_ms);
  if (refused) {
    known_.take_back(known_.added() - added_before);
    outcome.answers.emplace_back(tl::unexpect, std::move(*refused));
    return {};
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (receipts[i].duplicate) {
      store_->count_duplicate();
      continue;
    }
    if (Result<void> begun = ensure_writing(); !begun) return begun;
    if (Result<void> written = store_->append(messages[i], {sources_.number_of(append.source), append.keys[i].body, at},
                                              outcome.committed.emplace_back());
        !written)
      return written;
    ENSURE(outcome.committed.back().sequence == receipts[i].sequence);
    appended_.push_back(&messages[i]);
  }
  outcome.answers.emplace_back(std::move(receipts));
  return {};
}

// The transaction is durable: what it wrote is now true for readers and callers.
void Committer::conclude(Outcome& outcome) {
  ++commits_;
  known_.committed();
  ++syncs_;
  outcome.synced = true;
  worked_ms_ = clocks_.uptime_ms();
  if (departures_written_ > 0 || gives_back_at_ms_ != INT64_MAX) plan_giving_back(true);
  if (!appended_.empty()) disk_full_noted_ = false;
  if (std::exchange(refusal_noted_, false)) log::info("store.commits_again", {});
  for (std::size_t i = 0; i < appended_.size(); ++i) outcome.committed[i].telemetry = std::move(*appended_[i]);
  appended_.clear();
  if (departures_written_ > 0) {
    const auto written = departures_.begin() + static_cast<std::ptrdiff_t>(departures_written_);
    outcome.recorded = static_cast<std::size_t>(std::count_if(
        departures_.begin(), written, [](const auto& departure) { return departure.reason == kRefused; }));
    departures_.erase(departures_.begin(), written);
    leaving_.clear();
    for (const Store::Departure& departure : departures_) leaving_.add(departure.finished.sequence);
  }
  if (departures_written_ > 0 || oldest_.sequence == 0) note_oldest();
}

void Committer::failed(const Error& error, std::int64_t uptime_ms) {
  store_->rollback();
  known_.rolled_back();
  appended_.clear();
  ++commit_failures_;
  if (error.code == Errc::full) {
    gate_.disk_was_full(uptime_ms);
    if (!std::exchange(disk_full_noted_, true)) log::warn("store.disk_full", {{"error", error.what}});
    return;
  }
  if (error.code == Errc::busy) {
    if (!std::exchange(refusal_noted_, true)) log::warn("store.commit_refused", {{"error", error.what}});
    return;
  }
  set_fault(error);
}

void Committer::set_fault(const Error& error) {
  const bool first = fault_.empty();
  if (error.code == Errc::corrupt)
    recovery_.found_damage(error);
  else
    recovery_.disk_failed(error);
  fault_ = recovery_.trouble();
  if (!first) return;
  fault_since_ms_ = clocks_.wall_ms();
  log::error("store.fault", {{"error", error.what}});
}

void Committer::refuse_all(Outcome& outcome, std::size_t count, const Refused& refused) {
  outcome.answers.assign(count, AppendAnswer(tl::unexpect, refused));
}

// For the status, so an error is for the next read to find.
void Committer::note_oldest() {
  const Result<Store::Front> oldest = store_->oldest();
  if (oldest) oldest_ = *oldest;
  // Rows and their number are written together. Where only one of them is there, the way to the rows is damaged.
  const std::uint64_t queued = store_->figures().queued_messages;
  if (oldest && fault_.empty() && !reads_wait() && (oldest_.sequence == 0) != (queued == 0))
    set_fault({Errc::corrupt, std::to_string(queued) + " messages should be queued, and the table shows " +
                                  (oldest_.sequence == 0 ? "none" : "some")});
}

Result<ReadResult> Committer::read(const ReadRequest& request) {
  if (closed_) return fail(Errc::closed, "the queue is closed");
  ReadResult result;
  std::vector<Sequence> damaged;
  Result<void> read = store_->read(request, leaving_, result, damaged);
  for (const Sequence sequence : damaged) {
    log::error("store.row_damaged", {{"sequence", sequence}});
    ++rows_corrupt_;
    leaving_.add(sequence);
    Finished finished{.sequence = sequence, .how = Finished::How::quarantined, .error_code = "ChecksumMismatch"};
    finished.error_message = "the row was damaged on disk: its checksum does not match, so it was not sent";
    departures_.push_back({std::move(finished), kDamaged, now()});
  }
  if (read) return result;
  if (is_fault(read.error())) set_fault(read.error());
  return tl::unexpected(read.error());
}

void Committer::reconfigure(const StoreConfig& config) {
  const std::string path = config_.path;
  config_ = config;
  config_.path = path;
  gate_.set_limits(config_);
}

SpoolStats Committer::stats() const {
  SpoolStats stats;
  const Figures& figures = store_ ? store_->figures() : figures_at_close_;
  stats.queued_messages = figures.queued_messages;
  stats.queued_bytes = figures.queued_bytes;
  stats.accepted = figures.accepted;
  stats.duplicates = figures.duplicates;
  stats.delivered = figures.delivered;
  stats.quarantined = figures.quarantined;
  stats.dropped = figures.dropped;
  stats.expired = figures.expired;
  stats.lost = figures.lost;
  stats.quarantine_messages = figures.quarantine_messages;
  stats.replayed = figures.replayed;
  stats.retried = figures.retried;
  stats.kept_messages = figures.kept_messages;
  stats.kept_bytes = figures.kept_bytes;
  stats.sources = sources_.waiting(figures);
  stats.newest = figures.next_sequence - 1;
  stats.oldest = oldest_.sequence;
  stats.oldest_accepted_ms = oldest_.accepted.wall_ms;
  if (reads_wait()) {  // the oldest rows are still to come, and count as queued
    const std::uint64_t to_come = recovery_.still_to_come();
    stats.queued_messages += to_come;
    stats.accepted += to_come;
    stats.oldest = 1;
    if (oldest_.sequence == 0) stats.oldest_accepted_ms = clocks_.wall_ms();
  }
  stats.degraded = recovery_.degraded().what;
  stats.degraded_since_ms = recovery_.degraded().since_ms;
  stats.commits = commits_;
  stats.commit_failures = commit_failures_;
  stats.rows_corrupt = rows_corrupt_;
  stats.syncs = syncs_;
  stats.wal_bytes = disk_.seen().wal_bytes;
  stats.wal_holder = disk_.seen().wal_holder;
  stats.file_bytes = disk_.seen().file_bytes;
  stats.disk_free_bytes = disk_.seen().free_bytes;
  stats.fault = fault_;
  stats.fault_since_ms = fault_since_ms_;
  stats.ingest_closed_by_space = gate_.closed(disk_.seen_at_ms());
  return stats;
}

}  // namespace twinspool
