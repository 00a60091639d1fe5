// A Spool that commits when the test says so, and as it says.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "spool/spool.h"

namespace twinspool {

class HeldSpool final : public Spool {
 public:
  using Answer = tl::expected<Receipt, Refused>;

  std::vector<Telemetry> appended;

  std::size_t waiting() const { return waiting_.size(); }
  void answer_next(const Answer& answer) {
    Appended done = std::move(waiting_.front());
    waiting_.pop_front();
    done(answer);
  }

  using Spool::append;
  using Spool::append_batch;
  std::vector<Source> sources;  // of the single ones
  std::deque<BatchAppended> batches;
  void answer_batch(const tl::expected<std::vector<Receipt>, Refused>& answer) {
    BatchAppended done = std::move(batches.front());
    batches.pop_front();
    done(answer);
  }

  void append(Source source, Telemetry message, Appended done) override {
    sources.push_back(source);
    appended.push_back(std::move(message));
    waiting_.push_back(std::move(done));
  }

  void on_committed(Committed) override {}
  void on_unrecorded_fell(std::function<void()>) override {}
  void append_batch(Source, std::vector<Telemetry> messages, BatchAppended done) override {
    for (Telemetry& message : messages) appended.push_back(std::move(message));
    batches.push_back(std::move(done));
  }
  bool claim(Sequence) override { return true; }
  void release(Sequence) override {}
  void finish(Finished) override {}
  void note_lane(LaneNote) override {}
  void recall(Recall, std::function<void(Result<Recalled>)>) override {}
  void find_recent(Telemetry, std::function<void(Sequence)>) override {}
  void ping(std::function<void()>) override {}
  void read(ReadRequest, std::function<void(Result<ReadResult>)>) override {}
  void on_recovered(std::function<void()>) override {}
  void acknowledge(std::function<void(Result<void>)>) override {}
  void reconfigure(const StoreConfig&) override {}
  void flush_and_close(std::function<void()>) override {}
  const SpoolStats& stats() const override { return stats_; }
  const std::map<TwinNumber, LaneNote>& lane_notes() const override { return notes_; }
  bool commit_batch() override { return false; }

 private:
  std::deque<Appended> waiting_;
  SpoolStats stats_;
  std::map<TwinNumber, LaneNote> notes_;
};

}  // namespace twinspool
