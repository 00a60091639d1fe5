#include "spool/spool.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "spool/commit_pacing.h"
#include "spool/committer.h"
#include "util/log.h"

namespace twinspool {
namespace {

using std::chrono::seconds;

constexpr std::size_t kInboxMessagesMax = 65'536;  // waiting or being committed; 503 above
constexpr std::size_t kInboxBytesMax = 64 * kMiB;
constexpr std::size_t kCommitMessagesMax = 4096;  // bounds one commit, so also the wait for a 204
constexpr std::size_t kCommitBytesMax = 8 * kMiB;
constexpr std::size_t kRecordFrom = 64;         // finished messages: recorded when so many wait,
constexpr Duration kRecordWithin = seconds(1);  // or one has waited so long
constexpr Duration kRetryAfterFullInbox = seconds(1);
constexpr Duration kRetryAfterShutdown = seconds(2);

using AppendDone = std::function<void(AppendAnswer)>;
using ReadDone = std::function<void(Result<ReadResult>)>;

struct Append {
  Source source = kNoSource;
  std::vector<Telemetry> messages;
  std::size_t bytes = 0;
  AppendDone done;
};

struct Read {
  ReadRequest request;
  ReadDone done;
};

struct Recalling {
  RecallRun run;
  std::function<void(Result<Recalled>)> done;
};

struct Find {
  Telemetry message;
  std::function<void(Sequence)> done;
};

struct Inbox {  // from the loop to the writer
  std::deque<Append> appends;
  std::vector<Finished> finished;
  std::map<TwinNumber, LaneNote> notes;  // only the newest of a lane matters
  std::vector<Read> reads;
  std::vector<std::function<void(Result<void>)>> acknowledges;
  std::vector<Recalling> recalls;
  std::vector<Find> finds;
  std::optional<StoreConfig> config;
  bool close = false;
};

struct Report {  // from the writer to the loop
  std::vector<AppendDone> dones;
  Committer::Outcome outcome;
  std::size_t messages = 0, bytes = 0;  // that have left the inbox
  std::function<void()> then;           // a read's answer, or that the spool is closed
  SpoolStats stats;
};

class ThreadedSpool final : public Spool {
 public:
  ThreadedSpool(net::EventLoop& loop, const StoreConfig& config, Writer writer, std::unique_ptr<Committer> committer,
                std::vector<LaneNote> notes)
      : threaded_(writer == Writer::thread),
        committer_(std::move(committer)),
        pacing_(config.commit_delay),
        notes_at_start_(std::move(notes)),
        stats_(committer_->stats()),
        waker_(loop, [this] { drain_reports(); }),
        drain_(loop, [this] { drain_reports(); }),
        hand_over_(loop, [this] { hand_over(); }),
        later_(loop, [this] { run_later(); }) {
    if (threaded_) thread_ = std::thread([this] { run(); });
  }

  ~ThreadedSpool() override {
    turn_.close = true;
    if (threaded_) {
      hand_over();
      thread_.join();
    } else {
      while (!closed_) work_once();
    }
  }

  void on_committed(Committed committed) override { on_committed_ = std::move(committed); }
  void on_unrecorded_fell(std::function<void()> callback) override { on_unrecorded_fell_ = std::move(callback); }

  using Spool::append;
  using Spool::append_batch;

  void append(Source source, Telemetry message, Appended done) override {
    std::vector<Telemetry> messages;
    messages.push_back(std::move(message));
    enqueue(source, std::move(messages), [done = std::move(done)](AppendAnswer answer) {
      if (answer)
        done(answer->front());
      else
        done(tl::unexpected(std::move(answer.error())));
    });
  }

  void append_batch(Source source, std::vector<Telemetry> messages, AppendDone done) override {
    enqueue(source, std::move(messages), std::move(done));
  }

  bool claim(Sequence sequence) override { return committer_->claims().claim(sequence); }
  void release(Sequence sequence) override { committer_->claims().release(sequence); }

  void finish(Finished finished) override {
    if (closing_) return;
    turn_.finished.push_back(std::move(finished));
    ++stats_.unrecorded;
    hand_over_.post();
  }

  void note_lane(LaneNote note) override {
    if (closing_) return;
    const TwinNumber twin = note.twin;
    turn_.notes.insert_or_assign(twin, std::move(note));
    hand_over_.post();
  }

  void read(ReadRequest request, ReadDone done) override {
    if (closing_) return answer_later([done = std::move(done)] { done(fail(Errc::closed, "the queue is closing")); });
    turn_.reads.push_back({std::move(request), std::move(done)});
    hand_over_.post();
  }

  void on_recovered(std::function<void()> callback) override { on_recovered_ = std::move(callback); }

  void acknowledge(std::function<void(Result<void>)> done) override {
    turn_.acknowledges.push_back(std::move(done));
    hand_over_.post();
  }

  void recall(Recall order, std::function<void(Result<Recalled>)> done) override {
    if (closing_) return answer_later([done = std::move(done)] { done(fail(Errc::closed, "the queue is closing")); });
    if (recalls_under_way_ == kRecallsMax)
      return answer_later([done = std::move(done)] {
        done(fail(Errc::busy, "as many replays, retries and purges as may wait are under way: try again later"));
      });
    ++recalls_under_way_;
    turn_.recalls.push_back({RecallRun(std::move(order)), [this, done = std::move(done)](Result<Recalled> result) {
                               --recalls_under_way_;
                               done(std::move(result));
                             }});
    hand_over_.post();
  }

  void find_recent(Telemetry message, std::function<void(Sequence)> done) override {
    if (closing_) return answer_later([done = std::move(done)] { done(0); });
    turn_.finds.push_back({std::move(message), std::move(done)});
    hand_over_.post();
  }

  void reconfigure(const StoreConfig& config) override {
    turn_.config = config;
    hand_over_.post();
  }

  void flush_and_close(std::function<void()> done) override {
    if (closing_) return answer_later(std::move(done));
    closing_ = true;
    on_closed_ = std::move(done);
    turn_.close = true;
    if (threaded_) return hand_over_.post();
    while (!closed_) work_once();
  }

  const SpoolStats& stats() const override { return stats_; }
  const std::vector<LaneNote>& lane_notes_at_start() const override { return notes_at_start_; }

  bool commit_batch() override {
    ENSURE(!threaded_);
    return !closed_ && work_once();
  }

 private:
  // ---- loop thread

  void enqueue(Source source, std::vector<Telemetry> messages, AppendDone done) {
    Append append{source, std::move(messages), 0, std::move(done)};
    for (const Telemetry& telemetry : append.messages) append.bytes += weight(telemetry);
    if (closing_)
      return refuse(std::move(append), {Refusal::shutting_down, "the daemon is shutting down", kRetryAfterShutdown});
    const std::size_t messages_waiting = stats_.inbox_messages + append.messages.size();
    if (stats_.inbox_messages > 0 &&
        (messages_waiting > kInboxMessagesMax || inbox_bytes_ + append.bytes > kInboxBytesMax))
      return refuse(std::move(append),
                    {Refusal::inbox_full,
                     std::to_string(stats_.inbox_messages) + " messages wait for the disk, and no more are taken",
                     kRetryAfterFullInbox});
    stats_.inbox_messages = messages_waiting;
    inbox_bytes_ += append.bytes;
    turn_.appends.push_back(std::move(append));
    hand_over_.post();
  }

  void refuse(Append append, Refused refused) {
    answer_later([done = std::move(append.done), refused = std::move(refused)]() mutable {
      done(tl::unexpected(std::move(refused)));
    });
  }

  void answer_later(std::function<void()> answer) {
    answers_.push_back(std::move(answer));
    later_.post();
  }

  void run_later() {
    for (const std::function<void()>& answer : std::exchange(answers_, {})) answer();
  }

  // The end of a turn: what it brought goes to the writer as one.
  void hand_over() {
    {
      const std::lock_guard lock(mutex_);
      const TimePoint now = monotonic_now();
      if (inbox_.appends.empty()) first_append_ = now;
      if (!turn_.finished.empty() && record_at_ == kNever) record_at_ = now + kRecordWithin;
      std::move(turn_.appends.begin(), turn_.appends.end(), std::back_inserter(inbox_.appends));
      std::move(turn_.finished.begin(), turn_.finished.end(), std::back_inserter(inbox_.finished));
      std::move(turn_.reads.begin(), turn_.reads.end(), std::back_inserter(inbox_.reads));
      std::move(turn_.acknowledges.begin(), turn_.acknowledges.end(), std::back_inserter(inbox_.acknowledges));
      std::move(turn_.recalls.begin(), turn_.recalls.end(), std::back_inserter(inbox_.recalls));
      std::move(turn_.finds.begin(), turn_.finds.end(), std::back_inserter(inbox_.finds));
      for (auto& [twin, note] : turn_.notes) inbox_.notes.insert_or_assign(twin, std::move(note));
      if (turn_.config) inbox_.config = std::move(turn_.config);
      inbox_.close |= turn_.close;
      turn_ = Inbox{};
    }
    work_.notify_one();
  }

  void drain_reports() {
    std::vector<Report> reports;
    {
      const std::lock_guard lock(mutex_);
      reports.swap(reports_);
    }
    for (Report& report : reports) deliver(report);
  }

  void deliver(Report& report) {
    report.stats.inbox_messages = stats_.inbox_messages - report.messages;
    report.stats.unrecorded = stats_.unrecorded - std::min(stats_.unrecorded, report.outcome.recorded);
    stats_ = std::move(report.stats);
    inbox_bytes_ -= report.bytes;
    for (std::size_t i = 0; i < report.dones.size(); ++i) report.dones[i](std::move(report.outcome.answers[i]));
    if (on_committed_ && !report.outcome.committed.empty()) on_committed_(std::move(report.outcome.committed));
    if (on_unrecorded_fell_ && report.outcome.recorded > 0) on_unrecorded_fell_();
    if (report.then) report.then();
  }

  // ---- writer thread (loop thread with Writer::none)

  struct Round {  // what is done between two looks into the inbox
    std::vector<Append> appends;
    std::vector<Finished> finished;
    std::vector<LaneNote> notes;
    std::vector<Read> reads;
    std::vector<std::function<void(Result<void>)>> acknowledges;
    std::vector<Recalling> recalls;
    std::vector<Find> finds;
    std::optional<StoreConfig> config;
    bool record = false;
    bool expire = false;
    bool close = false;  // and nothing is left behind

    bool commits() const { return !appends.empty() || !notes.empty() || record || expire; }
    bool empty() const {
      return !commits() && finished.empty() && reads.empty() && acknowledges.empty() && recalls.empty() &&
             finds.empty() && !config && !close;
    }
  };

  void run() {
    while (!closed_) {
      Round round;
      {
        std::unique_lock lock(mutex_);
        for (TimePoint due = due_at(); due > monotonic_now(); due = due_at()) {
          if (due == kNever)
            work_.wait(lock);
          else
            work_.wait_until(lock, due);
        }
        round = take(monotonic_now());
      }
      carry_out(std::move(round));
    }
  }

  // Writer::none: everything that waits is due.
  bool work_once() {
    hand_over();
    Round round;
    {
      const std::lock_guard lock(mutex_);
      round = take(kNever);
    }
    if (round.empty() && recalls_.empty() && background_at() > monotonic_now()) return false;
    carry_out(std::move(round));
    return true;
  }

  // When there is something to do. With the mutex.
  TimePoint due_at() const {
    constexpr TimePoint kNow = TimePoint::min();
    if (!inbox_.reads.empty() || !inbox_.acknowledges.empty() || inbox_.config || inbox_.close) return kNow;
    if (!inbox_.finds.empty() || !inbox_.recalls.empty() || !recalls_.empty()) return kNow;
    const TimePoint appends_at = appends_due_at();
    const std::size_t unrecorded = committer_->unrecorded() + inbox_.finished.size();
    if (unrecorded >= kRecordFrom && !record_failed_) return kNow;
    return std::min({appends_at, record_at_, expire_at_, background_at()});
  }

  // The committer counts by the uptime.
  TimePoint background_at() const {
    const std::int64_t due_ms = committer_->due_ms();
    if (due_ms == INT64_MAX) return kNever;
    const std::int64_t now_ms = committer_->uptime_ms();
    return due_ms <= now_ms ? TimePoint::min() : monotonic_now() + std::chrono::milliseconds(due_ms - now_ms);
  }

  TimePoint appends_due_at() const {
    if (inbox_.appends.empty()) return kNever;
    if (inbox_.appends.size() >= kCommitMessagesMax) return TimePoint::min();
    return pacing_.due(inbox_.appends.size(), first_append_);
  }

  // With the mutex.
  Round take(TimePoint now) {
    Round round;
    round.finished = std::move(inbox_.finished);
    round.reads = std::move(inbox_.reads);
    round.acknowledges = std::exchange(inbox_.acknowledges, {});
    round.recalls = std::exchange(inbox_.recalls, {});
    round.finds = std::exchange(inbox_.finds, {});
    round.config = std::exchange(inbox_.config, std::nullopt);
    inbox_.finished.clear();
    inbox_.reads.clear();
    if (inbox_.close || appends_due_at() <= now) take_appends(round);
    const std::size_t unrecorded = committer_->unrecorded() + round.finished.size();
    const bool enough = unrecorded >= kRecordFrom && !record_failed_;
    round.record = unrecorded > 0 && (enough || inbox_.close || record_at_ <= now);
    // With Writer::none nothing waits for the time: what is over it goes now.
    round.expire = now == kNever ? committer_->expires_in() == Duration::zero() : expire_at_ <= now;
    if (unrecorded == 0 && record_at_ <= now) record_at_ = kNever;  // after a fault, or it would be due for ever
    if (!round.appends.empty() || round.record || inbox_.close || now == kNever) {
      for (auto& [twin, note] : inbox_.notes) round.notes.push_back(std::move(note));
      inbox_.notes.clear();
    }
    // The last round leaves nothing behind, unless recording fails: then the messages are sent again after the restart.
    round.close = inbox_.close && inbox_.appends.empty() && (unrecorded <= kCommitMessagesMax || record_failed_);
    return round;
  }

  void take_appends(Round& round) {
    std::size_t messages = 0;
    std::size_t bytes = 0;
    while (!inbox_.appends.empty() && messages < kCommitMessagesMax && bytes < kCommitBytesMax) {
      Append& next = inbox_.appends.front();
      messages += next.messages.size();
      bytes += next.bytes;
      round.appends.push_back(std::move(next));
      inbox_.appends.pop_front();
    }
  }

  void carry_out(Round round) {
    if (round.config) {
      committer_->reconfigure(*round.config);
      pacing_.set_linger(round.config->commit_delay);
    }
    committer_->left(std::move(round.finished));
    for (Read& read : round.reads) waiting_reads_.push_back(std::move(read));
    answer_reads();
    for (auto& done : round.acknowledges) acknowledge_now(std::move(done));
    for (Find& find : round.finds) {
      Report report;
      report.then = [done = std::move(find.done), known = committer_->find_recent(find.message)] { done(known); };
      send(std::move(report));
    }
    std::move(round.recalls.begin(), round.recalls.end(), std::back_inserter(recalls_));
    if (round.commits()) commit(round);
    recall(round.close);
    if (round.close) return close();
    committer_->checkpoint_if_due();
    work_behind();
    plan_expiry(round.expire);
  }

  void plan_expiry(bool tried) {
    constexpr Duration kTryAgain = seconds(1);  // what is over its age is on its way to the cloud
    const std::optional<Duration> in = committer_->expires_in();
    const bool more = tried && in == Duration::zero() && committer_->stats().expired > expired_;
    expired_ = committer_->stats().expired;
    expire_at_ = !in ? kNever : monotonic_now() + (more || !tried ? *in : std::max(*in, kTryAgain));
  }

  void answer_reads() {
    if (committer_->reads_wait()) return;
    for (Read& read : std::exchange(waiting_reads_, {})) answer(std::move(read));
  }

  void work_behind() {
    const Committer::Background did = committer_->work();
    if (did == Committer::Background::none) return;
    answer_reads();
    Report report;
    if (did == Committer::Background::imported)
      report.then = [this] {
        if (on_recovered_) on_recovered_();
      };
    send(std::move(report));
  }

  void acknowledge_now(std::function<void(Result<void>)> done) {
    Report report;
    report.then = [done = std::move(done), result = committer_->acknowledge()] { done(result); };
    send(std::move(report));
  }

  void answer(Read read) {
    Report report;
    report.then = [done = std::move(read.done), result = committer_->read(read.request)]() mutable {
      done(std::move(result));
    };
    if (committer_->unrecorded() > 0) {  // it may have found damaged rows
      record_soon();
    }
    send(std::move(report));
  }

  // One slice of the oldest recall, so that what else waits has its turn between two; at the end, an answer to all.
  void recall(bool closing) {
    if (recalls_.empty()) return;
    Report report;
    Recalling& first = recalls_.front();
    report.outcome = committer_->recall(first.run);
    if (closing)
      for (Recalling& one : recalls_)
        if (!one.run.ended()) one.run.stop("the daemon is shutting down");
    std::vector<std::function<void()>> answers;
    while (!recalls_.empty() && recalls_.front().run.ended()) {
      answers.push_back(
          [done = std::move(recalls_.front().done), result = recalls_.front().run.result()] { done(result); });
      recalls_.pop_front();
    }
    report.then = [answers = std::move(answers)] {
      for (const auto& answer : answers) answer();
    };
    send(std::move(report));
  }

  void commit(Round& round) {
    Report report;
    Committer::Work work;
    for (Append& append : round.appends) {
      report.messages += append.messages.size();
      report.bytes += append.bytes;
      report.dones.push_back(std::move(append.done));
      work.appends.push_back({append.source, std::move(append.messages)});
    }
    work.notes = std::move(round.notes);
    work.record = round.record;
    work.expire = round.expire;
    const std::size_t appends = work.appends.size();
    const TimePoint begun = monotonic_now();
    const std::size_t unrecorded = committer_->unrecorded();
    report.outcome = committer_->commit(std::move(work));
    const TimePoint ended = monotonic_now();
    const bool synced = report.outcome.synced;
    if (round.record)
      schedule_record(committer_->unrecorded() < unrecorded, ended);
    else if (committer_->unrecorded() > 0)
      record_soon();
    std::size_t waiting = 0;
    {
      const std::lock_guard lock(mutex_);
      waiting = inbox_.appends.size();
    }
    if (synced) commit_durations_.add(ended - begun);
    if (synced && appends > 0) pacing_.committed(appends, waiting, ended - begun, ended);
    send(std::move(report));
  }

  void record_soon() {
    const std::lock_guard lock(mutex_);
    if (record_at_ == kNever) record_at_ = monotonic_now() + kRecordWithin;
  }

  void schedule_record(bool recorded, TimePoint now) {
    const std::lock_guard lock(mutex_);
    record_failed_ = !recorded && committer_->unrecorded() > 0;
    record_at_ = committer_->unrecorded() > 0 || !inbox_.finished.empty() ? now + kRecordWithin : kNever;
  }

  void close() {
    committer_->close();
    Report report;
    report.then = [this] {
      if (on_closed_) std::exchange(on_closed_, nullptr)();
    };
    closed_ = true;  // before the report: with Writer::none its reader is this thread
    send(std::move(report));
  }

  void send(Report report) {
    report.stats = committer_->stats();
    report.stats.sync_typical = pacing_.sync_typical();
    report.stats.commit_durations = commit_durations_;
    {
      const std::lock_guard lock(mutex_);
      reports_.push_back(std::move(report));
    }
    if (threaded_)
      waker_.wake();
    else
      drain_.post();
  }

  const bool threaded_;
  std::unique_ptr<Committer> committer_;    // the writer's, from the start of the thread to its end
  CommitPacing pacing_;                     // the writer's
  DurationHistogram commit_durations_;      // the writer's
  bool closed_ = false;                     // the writer's
  std::uint64_t expired_ = 0;               // the writer's: as of the last look
  TimePoint expire_at_ = TimePoint::min();  // the writer's: when the oldest message is over store.max_age
  std::vector<Read> waiting_reads_;         // the writer's: until all rows are there
  std::deque<Recalling> recalls_;           // the writer's: the first one is under way

  std::mutex mutex_;  // guards these
  std::condition_variable work_;
  Inbox inbox_;
  TimePoint first_append_{};      // when the oldest of inbox_.appends came
  TimePoint record_at_ = kNever;  // finished messages wait to be recorded
  bool record_failed_ = false;    // the last try: only time makes the next
  std::vector<Report> reports_;

  std::vector<LaneNote> notes_at_start_;  // the loop's, like all that follows
  SpoolStats stats_;
  Inbox turn_;
  std::size_t inbox_bytes_ = 0;
  std::size_t recalls_under_way_ = 0;
  bool closing_ = false;
  std::vector<std::function<void()>> answers_;
  std::function<void()> on_closed_;
  Committed on_committed_;
  std::function<void()> on_unrecorded_fell_;
  std::function<void()> on_recovered_;
  net::Waker waker_;
  net::Deferred drain_;  // Writer::none: the waker's stand-in
  net::Deferred hand_over_;
  net::Deferred later_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const StoreConfig& config, net::EventLoop& loop, Writer writer,
                                           SpoolClocks clocks, std::vector<SourceConfig> sources) {
  Result<std::unique_ptr<Committer>> committer = Committer::open(config, std::move(clocks), std::move(sources));
  if (!committer) return tl::unexpected(committer.error());
  Result<std::vector<LaneNote>> notes = (*committer)->lane_notes();
  if (!notes) return tl::unexpected(notes.error());
  return std::make_unique<ThreadedSpool>(loop, config, writer, std::move(*committer), std::move(*notes));
}

}  // namespace twinspool
