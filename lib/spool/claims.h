// Which messages are on their way to the cloud, so that no limit drops one of those.
//
// The loop claims a message before each attempt to send it and releases it when the attempt came to nothing; the writer
// drops from the front of the queue and passes over what is claimed. One short lock, never held across I/O.
#pragma once

#include <algorithm>
#include <mutex>
#include <unordered_set>

#include "spool/telemetry.h"

namespace twinspool {

class Claims {
 public:
  // Loop. False: the message was dropped, do not send it.
  bool claim(Sequence sequence) {
    const std::lock_guard lock(mutex_);
    if (sequence <= dropped_through_ && !spared_.contains(sequence)) return false;
    in_flight_.insert(sequence);
    return true;
  }

  // Either: the attempt came to nothing, or what it came to has reached the writer.
  void release(Sequence sequence) {
    const std::lock_guard lock(mutex_);
    in_flight_.erase(sequence);
  }
  void left(Sequence sequence) {  // for good
    const std::lock_guard lock(mutex_);
    in_flight_.erase(sequence);
    spared_.erase(sequence);
  }

  // Writer, in sequence order over what is queued. False: it is in flight and stays.
  bool drop(Sequence sequence) {
    const std::lock_guard lock(mutex_);
    dropped_through_ = std::max(dropped_through_, sequence);
    if (in_flight_.contains(sequence)) {
      spared_.insert(sequence);
      return false;
    }
    spared_.erase(sequence);
    return true;
  }

 private:
  std::mutex mutex_;
  std::unordered_set<Sequence> in_flight_;
  std::unordered_set<Sequence> spared_;  // in flight when what lies around them was dropped: still queued
  Sequence dropped_through_ = 0;         // what is queued up to here is in spared_
};

}  // namespace twinspool
