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
constexpr std::uint32_t kCheckpointPages = 1000;  // more makes the worst commit slower, fewer the wear higher
constexpr std::size_t kRecordedPerCommitMax = 4096;
constexpr std::size_t kExpiredPerCommitMax = 4096;
constexpr std::size_t kRecordedOnFullDiskMax = 64;  // a commit of few pages
constexpr std::size_t kTrimmedPerCommitMin =
    256;  // and twice what is recorded, so that the trace always shrinks to its time
constexpr std::string_view kRefused = "refused";  // quarantine reasons
constexpr std::string_view kDamaged = "checksum";
constexpr Duration kSalvagedBeforeStart = std::chrono::seconds(1);
constexpr Duration kRetryAfterFault = std::chrono::seconds(30);
constexpr Duration kRetryAfterQuota = std::chrono::seconds(10);

bool is_fault(const Error& error) { return error.code == Errc::storage || error.code == Errc::corrupt; }

std::int64_t to_ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

Result<std::unique_ptr<Committer>> Committer::open(const StoreConfig& config, SpoolClocks clocks,
                                                   std::vector<SourceConfig> sources) {
  Result<StoreHome> home = StoreHome::open(config.path, clocks.boot_id);
  if (!home) return tl::unexpected(home.error());
  // A new store gets its run file, the witness that it exists, only once it does.
  const bool is_new = home->is_new();
  if (!is_new) {
    if (Result<void> marked = home->mark_running(); !marked) return tl::unexpected(marked.error());
  }
  std::unique_ptr<Committer> committer(new Committer(config, std::move(clocks), std::move(*home)));
  for (SourceConfig& source : sources) committer->sources_.push_back({std::move(source), 0});
  if (Result<void> opened = committer->open_store(); !opened) {
    if (opened.error().code == Errc::storage && !is_new) committer->home_.mark_io_error();
    return tl::unexpected(opened.error());
  }
  if (is_new) {
    if (Result<void> marked = committer->home_.mark_running(); !marked) return tl::unexpected(marked.error());
  }
  return committer;
}

Committer::Committer(const StoreConfig& config, SpoolClocks clocks, StoreHome home)
    : config_(config),
      clocks_(std::move(clocks)),
      home_(std::move(home)),
      gate_(config),
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
  note_oldest();
  return number_sources();
}

Result<void> Committer::number_sources() {
  if (sources_.empty()) return {};
  if (Result<void> begun = store_->begin(); !begun) return begun;
  for (KnownSource& source : sources_) {
    const Result<SourceNumber> number = store_->number_of_source(source.config.name);
    if (!number) return tl::unexpected(number.error());
    source.number = *number;
  }
  return store_->commit();
}

SourceNumber Committer::number_of(Source source) const {
  ENSURE(source <= sources_.size());
  return source == kNoSource ? 0 : sources_[source - 1].number;
}

Committer::Background Committer::work() {
  if (closed_) return Background::none;
  if (recovery_.due_ms() > clocks_.uptime_ms()) {
    if (gives_back_at_ms_ <= clocks_.uptime_ms() || gate_.closed_by_disk())
      plan_giving_back(trim_kept_for_space() || give_back_space());
    return Background::none;
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

Result<void> Committer::acknowledge() { return recovery_.acknowledge(); }

Moment Committer::now() {
  look_at_disk();
  return Moment{clocks_.wall_ms(), store_->opened().boot, clocks_.uptime_ms(), disk_.seen().clock_synced};
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

void Committer::left(std::vector<Finished> finished) {
  const Moment at = now();
  const bool keep = config_.keep_delivered > Duration::zero();
  for (Finished& one : finished) {
    leaving_.add(one.sequence);
    claims_.left(one.sequence);
    departures_.push_back({std::move(one), kRefused, at, keep});  // after a fault they are recorded in the new file
  }
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
  for (Append& append : work.appends) {
    if (Result<void> written = write_append(append, at, outcome); !written) return written;
  }
  if (work.record && !departures_.empty()) {
    if (Result<void> written = write_departures(); !written) return written;
  }
  if (departures_written_ > 0) {
    if (Result<void> trimmed = trim(at); !trimmed) return trimmed;
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
  std::vector<std::uint64_t> body_digests;
  receipts.reserve(messages.size());
  body_digests.reserve(messages.size());
  std::optional<Refused> refused;
  for (const Telemetry& telemetry : messages) {
    const Deduplication::Key key = known_.key_of(telemetry);
    body_digests.push_back(key.body);
    if (window_ms > 0) {
      if (const auto known = known_.find(key, at.uptime_ms)) {
        if (known->body != key.body) {
          if (!refused)
            refused = Refused{Refusal::message_id_reused,
                              "Message-Id " + telemetry.message_id + " was accepted for this twin with another body",
                              {}};
          const auto index = static_cast<std::size_t>(&telemetry - messages.data());
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
  if (!refused && load.messages > 0) refused = over_quota(append.source, load);
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
    if (Result<void> written = store_->append(messages[i], {number_of(append.source), body_digests[i], at},
                                              outcome.committed.emplace_back());
        !written)
      return written;
    ENSURE(outcome.committed.back().sequence == receipts[i].sequence);
    appended_.push_back(&messages[i]);
  }
  outcome.answers.emplace_back(std::move(receipts));
  return {};
}

// A quota counts what is queued of its source at the same time; duplicates cost nothing.
std::optional<Refused> Committer::over_quota(Source source, const SpaceGate::Load& load) const {
  if (source == kNoSource) return std::nullopt;
  const SourceConfig& config = sources_.at(source - 1).config;
  const Waiting waiting = store_->waiting(sources_.at(source - 1).number);
  struct Limit {
    std::uint64_t held, more, limit;
    const char* unit;
  };
  for (const Limit& l : {Limit{waiting.messages, load.messages, config.quota.messages, " messages"},
                         Limit{waiting.bytes, load.bytes, config.quota.size, " bytes"}}) {
    if (l.limit == 0 || l.held + l.more <= l.limit) continue;
    const std::string quota = "the quota of " + config.name + " is " + std::to_string(l.limit) + l.unit;
    if (l.more > l.limit)
      return Refused{
          Refusal::quota, quota + ", and this alone has " + std::to_string(l.more) + ": send less at once", {}};
    return Refused{Refusal::quota, quota + ", and " + std::to_string(l.held) + " wait for delivery", kRetryAfterQuota};
  }
  return std::nullopt;
}

// What has left already makes room first.
Result<void> Committer::make_room(const SpaceGate::Load& load, const Moment& at) {
  if (reads_wait()) return {};  // the oldest are still to come, and nothing may be recorded: the gate refuses
  const auto over = [&] {
    const Figures& figures = store_->figures();
    return excess(config_, {figures.queued_messages, figures.queued_bytes}, {load.messages, load.bytes});
  };
  std::optional<Excess> wanted = over();
  if (!wanted || wanted->nothing()) return {};
  if (Result<void> written = write_departures(); !written) return written;
  wanted = over();
  if (wanted->nothing()) return {};
  Result<std::vector<Store::Departure>> chosen =
      dropper_.choose_oldest(*store_, leaving_, *wanted, first_uncommitted_, at);
  if (!chosen) return tl::unexpected(chosen.error());
  return drop(std::move(*chosen), at);
}

Result<void> Committer::expire(const Moment& at) {
  if (config_.max_age <= Duration::zero() || reads_wait()) return {};
  if (oldest_.sequence == 0 || age_ms(oldest_.accepted, at, store_->opened()) < to_ms(config_.max_age)) return {};
  if (departures_.size() >= kExpiredPerCommitMax) return {};        // first what was chosen before must be recorded
  if (Result<void> begun = ensure_writing(); !begun) return begun;  // what is chosen has left, also if this fails
  Result<std::vector<Store::Departure>> chosen =
      dropper_.choose_expired(*store_, leaving_, to_ms(config_.max_age), kExpiredPerCommitMax, at);
  if (!chosen) return tl::unexpected(chosen.error());
  return drop(std::move(*chosen), at);
}

// They go with this commit, before what else has left: should it fail, with the next that records.
Result<void> Committer::drop(std::vector<Store::Departure> chosen, const Moment& at) {
  if (chosen.empty()) return {};
  if (Result<void> begun = ensure_writing(); !begun) return begun;
  dropper_.note(chosen, at.uptime_ms);
  for (const Store::Departure& departure : chosen) leaving_.add(departure.finished.sequence);
  const auto written = departures_.begin() + static_cast<std::ptrdiff_t>(departures_written_);
  const std::size_t count = chosen.size();
  departures_.insert(written, std::make_move_iterator(chosen.begin()), std::make_move_iterator(chosen.end()));
  for (std::size_t i = 0; i < count; ++i, ++departures_written_) {
    const Result<bool> removed = store_->remove(departures_[departures_written_]);
    if (!removed) return tl::unexpected(removed.error());
  }
  return {};
}

std::optional<Duration> Committer::expires_in() {
  const std::int64_t uptime_ms = clocks_.uptime_ms();
  dropper_.note_quiet(uptime_ms);
  if (closed_ || config_.max_age <= Duration::zero() || oldest_.sequence == 0 || !fault_.empty()) return std::nullopt;
  const Moment now{clocks_.wall_ms(), store_->opened().boot, uptime_ms, disk_.seen().clock_synced};
  const std::int64_t left_ms = to_ms(config_.max_age) - age_ms(oldest_.accepted, now, store_->opened());
  return std::chrono::milliseconds(std::max<std::int64_t>(left_ms, 0));
}

Result<void> Committer::write_departures() {
  if (Result<void> begun = ensure_writing(); !begun) return begun;
  while (departures_written_ < std::min(recorded_max_, departures_.size())) {
    const Store::Departure& departure = departures_[departures_written_];
    const Result<bool> removed = store_->remove(departure);
    if (!removed) return tl::unexpected(removed.error());
    if (!*removed) log::warn("store.finished_unknown", {{"sequence", departure.finished.sequence}});
    ++departures_written_;
  }
  return {};
}

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

void Committer::reconfigure(const StoreConfig& config) {
  const std::string path = config_.path;
  config_ = config;
  config_.path = path;
  gate_.set_limits(config_);
}

void Committer::close() {
  if (closed_) return;
  closed_ = true;
  if (!fault_.empty() || !departures_.empty() || reads_wait()) return;
  // Figures alone (duplicates answered since the last commit) are no reason to commit before.
  Result<void> saved = store_->begin();
  if (saved) saved = store_->commit();
  if (!saved) return failed(saved.error(), clocks_.uptime_ms());
  const Result<void> copied = store_->checkpoint();
  if (!copied && is_fault(copied.error())) return set_fault(copied.error());
  figures_at_close_ = store_->figures();
  store_.reset();  // SQLite is done with the files
  if (Result<void> marked = home_.mark_clean(); !marked) log::warn("store.run_file", {{"error", marked.error().what}});
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
  stats.sources.reserve(sources_.size());
  for (const KnownSource& source : sources_) stats.sources.push_back(figures.waiting(source.number));
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
