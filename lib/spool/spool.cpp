// The loop's half of the spool.
#include "spool/spool.h"

#include <algorithm>

#include "spool/threaded_spool.h"

namespace twinspool {
namespace {

constexpr std::size_t kInboxMessagesMax = 65'536;  // waiting or being committed; 503 above
constexpr std::size_t kInboxBytesMax = 64 * kMiB;
constexpr Duration kRetryAfterFullInbox = std::chrono::seconds(1);
constexpr Duration kRetryAfterShutdown = std::chrono::seconds(2);

}  // namespace

ThreadedSpool::ThreadedSpool(net::EventLoop& loop, const StoreConfig& config, Writer writer,
                             std::unique_ptr<Committer> committer, std::vector<LaneNote> notes)
    : threaded_(writer == Writer::thread),
      committer_(std::move(committer)),
      pacing_(config.commit_delay),
      stats_(committer_->stats()),
      waker_(loop, [this] { drain_reports(); }),
      drain_(loop, [this] { drain_reports(); }),
      hand_over_(loop, [this] { hand_over(); }),
      later_(loop, [this] { run_later(); }) {
  for (LaneNote& note : notes) notes_.insert_or_assign(note.twin, std::move(note));
  if (threaded_) thread_ = std::thread([this] { run(); });
}

ThreadedSpool::~ThreadedSpool() {
  turn_.close = true;
  if (threaded_) {
    hand_over();
    thread_.join();
  } else {
    while (!closed_) work_once();
  }
}

void ThreadedSpool::append(Source source, Telemetry message, Appended done) {
  std::vector<Telemetry> messages;
  messages.push_back(std::move(message));
  enqueue(source, std::move(messages), [done = std::move(done)](AppendAnswer answer) {
    if (answer)
      done(answer->front());
    else
      done(tl::unexpected(std::move(answer.error())));
  });
}

void ThreadedSpool::append_batch(Source source, std::vector<Telemetry> messages, AppendDone done) {
  enqueue(source, std::move(messages), std::move(done));
}

void ThreadedSpool::finish(Finished finished) {
  if (closing_) return;
  turn_.finished.push_back(std::move(finished));
  ++stats_.unrecorded;
  hand_over_.post();
}

void ThreadedSpool::note_lane(LaneNote note) {
  if (closing_) return;
  const TwinNumber twin = note.twin;
  const auto known = notes_.find(twin);
  if (note.state != (known == notes_.end() ? "" : known->second.state)) turn_.lanes_changed = true;
  if (note.state.empty())
    notes_.erase(twin);
  else
    notes_.insert_or_assign(twin, note);
  turn_.notes.insert_or_assign(twin, std::move(note));
  hand_over_.post();
}

void ThreadedSpool::read(ReadRequest request, ReadDone done) {
  if (closing_) return answer_later([done = std::move(done)] { done(fail(Errc::closed, "the queue is closing")); });
  turn_.reads.push_back({std::move(request), std::move(done)});
  hand_over_.post();
}

void ThreadedSpool::acknowledge(std::function<void(Result<void>)> done) {
  turn_.acknowledges.push_back(std::move(done));
  hand_over_.post();
}

void ThreadedSpool::recall(Recall order, std::function<void(Result<Recalled>)> done) {
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

void ThreadedSpool::find_recent(Telemetry message, std::function<void(Sequence)> done) {
  if (closing_) return answer_later([done = std::move(done)] { done(0); });
  turn_.finds.push_back({std::move(message), std::move(done)});
  hand_over_.post();
}

void ThreadedSpool::ping(std::function<void()> done) {
  if (closing_) return answer_later(std::move(done));
  turn_.pings.push_back(std::move(done));
  hand_over_.post();
}

void ThreadedSpool::reconfigure(const StoreConfig& config) {
  turn_.config = config;
  hand_over_.post();
}

void ThreadedSpool::flush_and_close(std::function<void()> done) {
  if (closing_) return answer_later(std::move(done));
  closing_ = true;
  on_closed_ = std::move(done);
  turn_.close = true;
  if (threaded_) return hand_over_.post();
  while (!closed_) work_once();
}

bool ThreadedSpool::commit_batch() {
  ENSURE(!threaded_);
  return !closed_ && work_once();
}

void ThreadedSpool::enqueue(Source source, std::vector<Telemetry> messages, AppendDone done) {
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

void ThreadedSpool::refuse(Append append, Refused refused) {
  answer_later([done = std::move(append.done), refused = std::move(refused)]() mutable {
    done(tl::unexpected(std::move(refused)));
  });
}

void ThreadedSpool::answer_later(std::function<void()> answer) {
  answers_.push_back(std::move(answer));
  later_.post();
}

void ThreadedSpool::run_later() {
  for (const std::function<void()>& answer : std::exchange(answers_, {})) answer();
}

// The end of a turn: what it brought goes to the writer as one.
void ThreadedSpool::hand_over() {
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
    std::move(turn_.pings.begin(), turn_.pings.end(), std::back_inserter(inbox_.pings));
    for (auto& [twin, note] : turn_.notes) inbox_.notes.insert_or_assign(twin, std::move(note));
    if (turn_.lanes_changed && note_at_ == kNever) note_at_ = now + kRecordWithin;
    if (turn_.config) inbox_.config = std::move(turn_.config);
    inbox_.close |= turn_.close;
    turn_ = Inbox{};
  }
  work_.notify_one();
}

void ThreadedSpool::drain_reports() {
  std::vector<Report> reports;
  {
    const std::lock_guard lock(mutex_);
    reports.swap(reports_);
  }
  for (Report& report : reports) deliver(report);
}

void ThreadedSpool::deliver(Report& report) {
  report.stats.inbox_messages = stats_.inbox_messages - report.messages;
  report.stats.unrecorded = stats_.unrecorded - std::min(stats_.unrecorded, report.outcome.recorded);
  stats_ = std::move(report.stats);
  inbox_bytes_ -= report.bytes;
  for (std::size_t i = 0; i < report.dones.size(); ++i) report.dones[i](std::move(report.outcome.answers[i]));
  if (on_committed_ && !report.outcome.committed.empty()) on_committed_(std::move(report.outcome.committed));
  if (on_unrecorded_fell_ && report.outcome.recorded > 0) on_unrecorded_fell_();
  if (report.then) report.then();
}

Result<std::unique_ptr<Spool>> Spool::open(const StoreConfig& config, net::EventLoop& loop, Writer writer,
                                           SpoolClocks clocks, std::vector<SourceConfig> sources) {
  Result<std::unique_ptr<Committer>> committer = Committer::open(config, std::move(clocks), std::move(sources));
  if (!committer) return tl::unexpected(committer.error());
  Result<std::vector<LaneNote>> notes = (*committer)->lane_notes();
  if (!notes) return tl::unexpected(notes.error());
  return std::make_unique<ThreadedSpool>(loop, config, writer, std::move(*committer), std::move(*notes));
}

}  // namespace twinspool
