// The writer's half of the spool: on its thread, or on the loop's with Writer::none.
#include <algorithm>

#include "spool/threaded_spool.h"
#include "util/thread_name.h"

namespace twinspool {
namespace {

constexpr std::size_t kCommitMessagesMax = 4096;  // bounds one commit, so also the wait for a 204
constexpr std::size_t kCommitBytesMax = 8 * kMiB;

}  // namespace

void ThreadedSpool::run() {
  name_thread("writer");
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
bool ThreadedSpool::work_once() {
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
TimePoint ThreadedSpool::due_at() const {
  constexpr TimePoint kNow = TimePoint::min();
  if (!inbox_.reads.empty() || !inbox_.acknowledges.empty() || inbox_.config || inbox_.close) return kNow;
  if (!inbox_.finds.empty() || !inbox_.pings.empty() || !inbox_.recalls.empty() || !recalls_.empty()) return kNow;
  const TimePoint appends_at = appends_due_at();
  const std::size_t unrecorded = committer_->unrecorded() + inbox_.finished.size();
  if (unrecorded >= kRecordFrom && !record_failed_) return kNow;
  return std::min({appends_at, record_at_, note_at_, expire_at_, background_at()});
}

// The committer counts by the uptime.
TimePoint ThreadedSpool::background_at() const {
  const std::int64_t due_ms = committer_->due_ms();
  if (due_ms == INT64_MAX) return kNever;
  const std::int64_t now_ms = committer_->uptime_ms();
  return due_ms <= now_ms ? TimePoint::min() : monotonic_now() + std::chrono::milliseconds(due_ms - now_ms);
}

TimePoint ThreadedSpool::appends_due_at() const {
  if (inbox_.appends.empty()) return kNever;
  if (inbox_.appends.size() >= kCommitMessagesMax) return TimePoint::min();
  return pacing_.due(inbox_.appends.size(), first_append_);
}

// With the mutex.
ThreadedSpool::Round ThreadedSpool::take(TimePoint now) {
  Round round;
  round.finished = std::move(inbox_.finished);
  round.reads = std::move(inbox_.reads);
  round.acknowledges = std::exchange(inbox_.acknowledges, {});
  round.recalls = std::exchange(inbox_.recalls, {});
  round.finds = std::exchange(inbox_.finds, {});
  round.pings = std::exchange(inbox_.pings, {});
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
  if (!round.appends.empty() || round.record || inbox_.close || note_at_ <= now) {  // also with Writer::none
    for (auto& [twin, note] : inbox_.notes) round.notes.push_back(std::move(note));
    inbox_.notes.clear();
    note_at_ = kNever;
  }
  // The last round leaves nothing behind, unless recording fails: then the messages are sent again after the restart.
  round.close = inbox_.close && inbox_.appends.empty() && (unrecorded <= kCommitMessagesMax || record_failed_);
  return round;
}

void ThreadedSpool::take_appends(Round& round) {
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

void ThreadedSpool::carry_out(Round round) {
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
  answer_pings(std::move(round.pings));
}

void ThreadedSpool::answer_pings(std::vector<std::function<void()>> pings) {
  if (pings.empty()) return;
  Report report;
  report.then = [pings = std::move(pings)] {
    for (const auto& done : pings) done();
  };
  send(std::move(report));
}

void ThreadedSpool::plan_expiry(bool tried) {
  constexpr Duration kTryAgain = std::chrono::seconds(1);  // what is over its age is on its way to the cloud
  const std::optional<Duration> in = committer_->expires_in();
  const bool more = tried && in == Duration::zero() && committer_->stats().expired > expired_;
  expired_ = committer_->stats().expired;
  expire_at_ = !in ? kNever : monotonic_now() + (more || !tried ? *in : std::max(*in, kTryAgain));
}

void ThreadedSpool::answer_reads() {
  if (committer_->reads_wait()) return;
  for (Read& read : std::exchange(waiting_reads_, {})) answer(std::move(read));
}

void ThreadedSpool::work_behind() {
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

void ThreadedSpool::acknowledge_now(std::function<void(Result<void>)> done) {
  Report report;
  report.then = [done = std::move(done), result = committer_->acknowledge()] { done(result); };
  send(std::move(report));
}

void ThreadedSpool::answer(Read read) {
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
void ThreadedSpool::recall(bool closing) {
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

void ThreadedSpool::commit(Round& round) {
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

void ThreadedSpool::record_soon() {
  const std::lock_guard lock(mutex_);
  if (record_at_ == kNever) record_at_ = monotonic_now() + kRecordWithin;
}

void ThreadedSpool::schedule_record(bool recorded, TimePoint now) {
  const std::lock_guard lock(mutex_);
  record_failed_ = !recorded && committer_->unrecorded() > 0;
  record_at_ = committer_->unrecorded() > 0 || !inbox_.finished.empty() ? now + kRecordWithin : kNever;
}

void ThreadedSpool::close() {
  committer_->close();
  Report report;
  report.then = [this] {
    if (on_closed_) std::exchange(on_closed_, nullptr)();
  };
  closed_ = true;  // before the report: with Writer::none its reader is this thread
  send(std::move(report));
}

void ThreadedSpool::send(Report report) {
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

}  // namespace twinspool
