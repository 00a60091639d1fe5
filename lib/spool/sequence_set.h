// Sequences that are finished but not yet recorded so. They come nearly in order, so runs are kept, not numbers: while
// the store takes no writes, a drained backlog of millions still is a few runs.
#pragma once

#include <iterator>
#include <map>

#include "spool/telemetry.h"

namespace twinspool {

class SequenceSet {
 public:
  void add(Sequence sequence) {
    auto after = runs_.upper_bound(sequence);
    if (after != runs_.begin()) {
      const auto before = std::prev(after);
      if (sequence <= before->second) return;
      if (sequence == before->second + 1) {
        before->second = sequence;
        if (after != runs_.end() && after->first == sequence + 1) {
          before->second = after->second;
          runs_.erase(after);
        }
        return;
      }
    }
    if (after != runs_.end() && after->first == sequence + 1) {
      const Sequence last = after->second;
      after = runs_.erase(after);
      runs_.emplace_hint(after, sequence, last);
      return;
    }
    runs_.emplace_hint(after, sequence, sequence);
  }

  bool contains(Sequence sequence) const {
    const auto after = runs_.upper_bound(sequence);
    return after != runs_.begin() && sequence <= std::prev(after)->second;
  }

  void clear() { runs_.clear(); }
  std::size_t runs() const { return runs_.size(); }

 private:
  std::map<Sequence, Sequence> runs_;  // first → last
};

}  // namespace twinspool
