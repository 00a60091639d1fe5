// The spool of spool.h: a loop that hands over what its turns bring, and a writer that carries it out, a round at a
// time. spool.cpp has the loop's half, spool_writer.cpp the writer's. Only these two include it.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "spool/commit_pacing.h"
#include "spool/committer.h"
#include "spool/spool.h"

namespace twinspool {

constexpr std::size_t kRecordFrom = 64;                      // finished messages: recorded when so many wait,
constexpr Duration kRecordWithin = std::chrono::seconds(1);  // or one has waited so long; lanes that changed, too

class ThreadedSpool final : public Spool {
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
    bool lanes_changed = false;            // and not just when one is tried again
    std::vector<Read> reads;
    std::vector<std::function<void(Result<void>)>> acknowledges;
    std::vector<Recalling> recalls;
    std::vector<Find> finds;
    std::vector<std::function<void()>> pings;
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

 public:
  ThreadedSpool(net::EventLoop& loop, const StoreConfig& config, Writer writer, std::unique_ptr<Committer> committer,
                std::vector<LaneNote> notes);

  ~ThreadedSpool() override;
  void on_committed(Committed committed) override { on_committed_ = std::move(committed); }
  void on_unrecorded_fell(std::function<void()> callback) override { on_unrecorded_fell_ = std::move(callback); }

  using Spool::append;
  using Spool::append_batch;
  void append(Source source, Telemetry message, Appended done) override;
  void append_batch(Source source, std::vector<Telemetry> messages, AppendDone done) override;
  bool claim(Sequence sequence) override { return committer_->claims().claim(sequence); }
  void release(Sequence sequence) override { committer_->claims().release(sequence); }
  void finish(Finished finished) override;
  void note_lane(LaneNote note) override;
  void read(ReadRequest request, ReadDone done) override;
  void on_recovered(std::function<void()> callback) override { on_recovered_ = std::move(callback); }
  void acknowledge(std::function<void(Result<void>)> done) override;
  void recall(Recall order, std::function<void(Result<Recalled>)> done) override;
  void find_recent(Telemetry message, std::function<void(Sequence)> done) override;
  void ping(std::function<void()> done) override;
  void reconfigure(const StoreConfig& config) override;
  void flush_and_close(std::function<void()> done) override;
  const SpoolStats& stats() const override { return stats_; }
  const std::map<TwinNumber, LaneNote>& lane_notes() const override { return notes_; }
  bool commit_batch() override;

 private:
  // ---- loop thread

  void enqueue(Source source, std::vector<Telemetry> messages, AppendDone done);
  void refuse(Append append, Refused refused);
  void answer_later(std::function<void()> answer);
  void run_later();
  void hand_over();
  void drain_reports();
  void deliver(Report& report);

  // ---- writer thread (loop thread with Writer::none)

  struct Round {  // what is done between two looks into the inbox
    std::vector<Append> appends;
    std::vector<Finished> finished;
    std::vector<LaneNote> notes;
    std::vector<Read> reads;
    std::vector<std::function<void(Result<void>)>> acknowledges;
    std::vector<Recalling> recalls;
    std::vector<Find> finds;
    std::vector<std::function<void()>> pings;
    std::optional<StoreConfig> config;
    bool record = false;
    bool expire = false;
    bool close = false;  // and nothing is left behind

    bool commits() const { return !appends.empty() || !notes.empty() || record || expire; }
    bool empty() const {
      return !commits() && finished.empty() && reads.empty() && acknowledges.empty() && recalls.empty() &&
             finds.empty() && pings.empty() && !config && !close;
    }
  };

  void run();
  bool work_once();
  TimePoint due_at() const;
  TimePoint background_at() const;
  TimePoint appends_due_at() const;
  Round take(TimePoint now);
  void take_appends(Round& round);
  void carry_out(Round round);
  void plan_expiry(bool tried);
  void answer_reads();
  void work_behind();
  void acknowledge_now(std::function<void(Result<void>)> done);
  void answer(Read read);
  void recall(bool closing);
  void answer_pings(std::vector<std::function<void()>> pings);
  void commit(Round& round);
  void record_soon();
  void schedule_record(bool recorded, TimePoint now);
  void close();
  void send(Report report);

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
  TimePoint note_at_ = kNever;    // a lane is held, fails or flows that did not before
  bool record_failed_ = false;    // the last try: only time makes the next
  std::vector<Report> reports_;

  std::map<TwinNumber, LaneNote> notes_;  // the loop's, like all that follows
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

}  // namespace twinspool
