#include "support/memory_stream.h"

#include <algorithm>

namespace twinspool {

MemoryStream::MemoryStream(net::EventLoop& loop) : step_(loop, [this] { step(); }) {}

MemoryStream::Pair MemoryStream::pair(net::EventLoop& loop) {
  std::unique_ptr<MemoryStream> left(new MemoryStream(loop));
  std::unique_ptr<MemoryStream> right(new MemoryStream(loop));
  left->peer_ = right.get();
  right->peer_ = left.get();
  return {std::move(left), std::move(right)};
}

MemoryStream::~MemoryStream() {
  if (peer_ == nullptr) return;
  peer_->peer_ = nullptr;
  peer_->peer_finished_ = true;
  if (!peer_->unsent_.empty()) peer_->fail({Errc::closed, "write: connection reset by peer"});
  peer_->schedule();
}

void MemoryStream::start(Observer& observer) {
  ENSURE(observer_ == nullptr);
  observer_ = &observer;
  schedule();
}

void MemoryStream::write(std::string bytes) {
  ENSURE(!finished_);
  if (failed_ || bytes.empty()) return;
  if (peer_ == nullptr) return fail({Errc::closed, "write: broken pipe"});
  unsent_ += bytes;
  send();
}

void MemoryStream::send() {
  if (peer_ == nullptr) return;
  const std::size_t room = peer_->capacity_ - std::min(peer_->capacity_, peer_->waiting_.size());
  const std::size_t count = std::min(room, unsent_.size());
  peer_->waiting_.append(unsent_, 0, count);
  unsent_.erase(0, count);
  if (finished_ && unsent_.empty()) peer_->peer_finished_ = true;
  peer_->schedule();
}

void MemoryStream::send_more() {
  if (unsent_.empty()) return;
  send();
  drained_ = unsent_.empty();
  schedule();
}

void MemoryStream::pause_reading() { paused_ = true; }

void MemoryStream::resume_reading() {
  paused_ = false;
  schedule();
}

void MemoryStream::finish_writing() {
  if (finished_ || failed_) return;
  finished_ = true;
  send();
}

void MemoryStream::split(std::vector<std::size_t> sizes) {
  splits_.assign(sizes.begin(), sizes.end());
  schedule();
}

void MemoryStream::deliver_at_most(std::size_t bytes_max) {
  ENSURE(bytes_max > 0);
  piece_max_ = bytes_max;
}

void MemoryStream::hold() { held_ = true; }

void MemoryStream::release() {
  held_ = false;
  schedule();
}

void MemoryStream::set_capacity(std::size_t bytes) {
  capacity_ = bytes;
  if (peer_ != nullptr) peer_->send_more();
}

void MemoryStream::end() {
  peer_finished_ = true;
  schedule();
}

void MemoryStream::fail(Error error) {
  if (failed_ || failure_) return;
  failure_ = std::move(error);
  schedule();
}

// 0: nothing to deliver, or a split still waits for its bytes.
std::size_t MemoryStream::next_piece() const {
  if (splits_.empty()) return std::min(waiting_.size(), piece_max_);
  if (waiting_.size() >= splits_.front()) return splits_.front();
  return peer_finished_ || waiting_.size() >= capacity_ ? waiting_.size() : 0;
}

bool MemoryStream::has_event() const {
  if (observer_ == nullptr || failed_) return false;
  if (failure_ || drained_) return true;
  if (held_ || paused_) return false;
  return next_piece() > 0 || (peer_finished_ && waiting_.empty() && !end_told_);
}

void MemoryStream::schedule() {
  if (has_event()) step_.post();
}

void MemoryStream::step() {
  if (!has_event()) return;
  if (failure_) {
    failed_ = true;
    waiting_.clear();
    unsent_.clear();
    observer_->on_failed(*failure_);
    return;
  }
  if (drained_) {
    drained_ = false;
    if (unsent_.empty()) observer_->on_drained();
  } else if (const std::size_t count = next_piece(); count > 0) {
    if (!splits_.empty()) splits_.pop_front();
    const std::string piece = waiting_.substr(0, count);
    waiting_.erase(0, count);
    if (peer_ != nullptr) peer_->send_more();
    observer_->on_bytes(piece);
  } else {
    end_told_ = true;
    observer_->on_end();
  }
  schedule();
}

}  // namespace twinspool
