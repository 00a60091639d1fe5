// A walk through the queue's file from the front on, in slices: each opens the file anew and is over within
// milliseconds, so however long the walk takes, it holds up neither the daemon nor its WAL, and it survives that a
// recovery replaces the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/store_path.h"
#include "spool/queue_reader.h"

namespace twinspool::ops {

class QueueWalk {
 public:
  struct Where {
    StoreOptions store;
    std::string twin;  // as people write it or as the views show it; empty: every twin
    Sequence after = 0;
  };
  explicit QueueWalk(const Where& where);

  Result<void> begin();
  // Those behind the last, at most `count`; none: the end. What comes in during the walk belongs to it only up to the
  // newest message at its beginning.
  Result<std::vector<QueuedMessage>> next(std::size_t count);

  std::uint64_t queued() const { return queued_; }  // in the queue at the beginning
  Sequence at() const { return at_; }               // the last one that next() gave or passed over

 private:
  Where where_;
  std::vector<std::string> twins_;
  std::string path_;
  std::uint64_t queued_ = 0;
  Sequence at_ = 0, through_ = 0;
};

}  // namespace twinspool::ops
