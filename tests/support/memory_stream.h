// Two connected Streams in this process, as a test wishes the network to be.
//
// Everything that reaches an observer comes on a later turn, by EventLoop::post, one event a turn: so it works with
// Clock::manual, and a run depends on nothing but what the test did. What a test sets at one end concerns what arrives
// there.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/event_loop.h"
#include "net/stream.h"

namespace twinspool {

class MemoryStream final : public net::Stream {
 public:
  using Pair = std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>>;

  // `loop` outlives both; either may go first, which the other sees as the peer's end, and as a failure when it writes.
  static Pair pair(net::EventLoop& loop);
  ~MemoryStream() override;

  void start(Observer& observer) override;
  void write(std::string bytes) override;
  std::size_t unwritten() const override { return unsent_.size(); }
  void pause_reading() override;
  void resume_reading() override;
  void finish_writing() override;

  // How the bytes that arrive here are cut: first into `sizes` (whole deliveries, each waiting for its bytes), then
  // into pieces of `bytes_max` at most.
  void split(std::vector<std::size_t> sizes);
  void deliver_at_most(std::size_t bytes_max);

  // Nothing more arrives here until release(), except a failure.
  void hold();
  void release();

  // How much may wait here before the other end's unwritten() grows (a socket's buffers; 64 KiB). 0: nothing
  // leaves the other end.
  void set_capacity(std::size_t bytes);

  void end();              // as if the other end had finished writing; what it wrote before still arrives
  void fail(Error error);  // this end fails on the next turn, what had not arrived is lost; the other end lives on

  bool started() const { return observer_ != nullptr; }
  bool peer_gone() const { return peer_ == nullptr; }
  bool finished() const { return finished_; }              // this end called finish_writing()
  std::size_t waiting() const { return waiting_.size(); }  // bytes on their way to this end

 private:
  explicit MemoryStream(net::EventLoop& loop);
  void send();       // from unsent_ to the peer, as far as there is room
  void send_more();  // the same once there is room again
  void schedule();   // a step, if there is something to do
  void step();       // tells the observer one thing
  std::size_t next_piece() const;
  bool has_event() const;

  MemoryStream* peer_ = nullptr;
  Observer* observer_ = nullptr;
  std::string unsent_;   // beyond the peer's capacity
  std::string waiting_;  // arrived, not yet delivered
  std::deque<std::size_t> splits_;
  std::size_t piece_max_ = static_cast<std::size_t>(-1);
  std::size_t capacity_ = 64 * 1024;
  bool paused_ = false;
  bool held_ = false;
  bool finished_ = false;
  bool drained_ = false;  // to be told
  bool peer_finished_ = false;
  bool end_told_ = false;
  bool failed_ = false;
  std::optional<Error> failure_;  // to be told
  net::Deferred step_;
};

// What a Stream told, for tests that look at it afterwards.
struct RecordingObserver final : net::Stream::Observer {
  void on_bytes(std::string_view bytes) override {
    received += bytes;
    ++deliveries;
  }
  void on_end() override { ++ends; }
  void on_drained() override { ++drains; }
  void on_failed(const Error& error) override { failures.push_back(error); }

  std::string received;
  std::size_t deliveries = 0;
  int ends = 0;
  int drains = 0;
  std::vector<Error> failures;
};

}  // namespace twinspool
