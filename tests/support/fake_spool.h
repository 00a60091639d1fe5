// A Spool in memory, for tests of what stands on one: rows, commits by hand, and a record of all that it was told.
//
// Every callback comes on a later turn of the loop. What finish() was told leaves the queue with the next commit().
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "net/event_loop.h"
#include "spool/spool.h"

namespace twinspool {

class FakeSpool final : public Spool {
 public:
  explicit FakeSpool(net::EventLoop& loop) : loop_(loop) {}

  // A row that is on disk already; nobody is told of it.
  Sequence add(const std::string& twin, const std::string& message_id, std::int64_t accepted_ms = 0) {
    Message message{.sequence = ++stats_.newest, .twin = number_of(twin), .accepted_ms = accepted_ms, .telemetry = {}};
    message.telemetry.twin = twin;
    message.telemetry.message_id = message_id;
    message.telemetry.body = "{}";
    rows_.emplace(message.sequence, message);
    update_stats();
    return stats_.newest;
  }

  // A row that is committed now: the receiver hears of it on the next turn.
  Sequence arrive(const std::string& twin, const std::string& message_id, std::int64_t accepted_ms = 0) {
    const Sequence sequence = add(twin, message_id, accepted_ms);
    loop_.post([this, message = rows_.at(sequence)] {
      std::vector<Message> fresh{message};
      if (committed_) committed_(std::move(fresh));
    });
    return sequence;
  }

  TwinNumber number_of(const std::string& twin) {
    return twins_.try_emplace(twin, static_cast<TwinNumber>(twins_.size() + 1)).first->second;
  }

  // A limit of the queue takes it out, behind the back of whoever has it in memory.
  void drop(Sequence sequence) {
    rows_.erase(sequence);
    update_stats();
  }

  // What was finished is recorded.
  void commit() {
    for (const Finished& left : unrecorded_) rows_.erase(left.sequence);
    unrecorded_.clear();
    update_stats();
    loop_.post([this] {
      if (unrecorded_fell_) unrecorded_fell_();
    });
  }

  std::size_t rows() const { return rows_.size(); }
  std::vector<Finished> finished;
  std::vector<LaneNote> notes;
  std::map<TwinNumber, LaneNote> noted;  // as the spool has them now
  std::size_t reads = 0;
  bool reads_fail = false;
  bool commits_by_itself = true;  // after each finish()

  void on_committed(Committed committed) override { committed_ = std::move(committed); }
  void on_unrecorded_fell(std::function<void()> callback) override { unrecorded_fell_ = std::move(callback); }
  void append(Source, Telemetry, Appended) override { ENSURE(false); }
  void append_batch(Source, std::vector<Telemetry>, BatchAppended) override { ENSURE(false); }
  bool claim(Sequence sequence) override { return rows_.contains(sequence); }
  void release(Sequence) override {}
  void finish(Finished how) override {
    finished.push_back(how);
    unrecorded_.push_back(std::move(how));
    update_stats();
    if (commits_by_itself) loop_.post([this] { commit(); });
  }
  void note_lane(LaneNote note) override {
    if (note.state.empty())
      noted.erase(note.twin);
    else
      noted.insert_or_assign(note.twin, note);
    notes.push_back(std::move(note));
  }
  void recall(Recall, std::function<void(Result<Recalled>)> done) override {  // there is nothing to recall
    loop_.post([done = std::move(done)] { done(Recalled{}); });
  }
  void find_recent(Telemetry, std::function<void(Sequence)> done) override {
    loop_.post([done = std::move(done)] { done(0); });
  }
  void ping(std::function<void()> done) override { loop_.post(std::move(done)); }
  void read(ReadRequest request, std::function<void(Result<ReadResult>)> done) override {
    ++reads;
    loop_.post([this, request = std::move(request), done = std::move(done)] {
      if (reads_fail) return done(fail(Errc::storage, "the disk is gone"));
      done(find(request));
    });
  }
  void on_recovered(std::function<void()>) override {}
  void acknowledge(std::function<void(Result<void>)> done) override {
    loop_.post([done = std::move(done)] { done({}); });
  }
  void reconfigure(const StoreConfig&) override {}
  void flush_and_close(std::function<void()> done) override { loop_.post(std::move(done)); }
  const SpoolStats& stats() const override { return stats_; }
  const std::map<TwinNumber, LaneNote>& lane_notes() const override { return noted; }
  bool commit_batch() override { return false; }

 private:
  ReadResult find(const ReadRequest& request) const {
    ReadResult result;
    result.scanned_through = request.after;
    for (auto it = rows_.upper_bound(request.after); it != rows_.end() && it->first <= request.through; ++it) {
      if (result.messages.size() == request.messages_max) return result;
      result.scanned_through = it->first;
      if (request.only.empty() || std::binary_search(request.only.begin(), request.only.end(), it->second.twin)) {
        result.messages.push_back(it->second);
      }
    }
    result.reached_end = true;
    return result;
  }

  void update_stats() {
    stats_.queued_messages = rows_.size();
    stats_.oldest = rows_.empty() ? 0 : rows_.begin()->first;
    stats_.unrecorded = unrecorded_.size();
  }

  net::EventLoop& loop_;
  std::map<Sequence, Message> rows_;
  std::map<std::string, TwinNumber> twins_;
  std::vector<Finished> unrecorded_;
  SpoolStats stats_;
  Committed committed_;
  std::function<void()> unrecorded_fell_;
};

}  // namespace twinspool
