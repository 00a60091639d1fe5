// What a power cut leaves, pure: the durable part of what was done to a disk, the part that was not synced yet, and the
// states that the disk may be found in.
//
// The model is weaker than any file system that a store runs on. Until a sync of its file has returned, each write is
// there, or not, or some of its sectors are, in any combination and order with others; the block in flight may be
// garbage, with what was in it before. Until a sync of its directory, each name is there or not, whatever was done with
// the file. A failed sync leaves the writes of the file visible and never makes them durable, however often it is
// synced again (Linux marks the pages clean).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "crash/image.h"

namespace twinspool::crash {

class Timeline {
 public:
  // After a failed sync: what was written is dropped, or its blocks moreover never take what is written later (ext4:
  // they stay unwritten for ever).
  enum class Poison : std::uint8_t { drop, stuck };

  explicit Timeline(Image durable, Poison poison = Poison::drop) : durable_(std::move(durable)), poison_(poison) {}

  void advance(const Op& op);

  const Image& durable() const { return durable_; }
  std::size_t pending() const { return pending_.size(); }
  const Op& pending_op(std::size_t i) const { return pending_.at(i).op; }

  // One of the states that a power cut at this moment may leave: 0 has everything, 1 what is durable; then each pending
  // change alone and all but each; from there on they are drawn by `seed`.
  Image state(std::uint64_t variant, std::uint64_t seed) const;

 private:
  struct Pending {
    Op op;
    bool poisoned = false;  // no sync makes it durable
  };
  class Draw;
  void sync(NodeId node);
  void sync_failed(NodeId node);
  void make_durable(const Op& op);

  Image durable_;
  const Poison poison_;
  std::vector<Pending> pending_;
  std::map<NodeId, std::set<std::uint64_t>> stuck_;  // blocks
};

}  // namespace twinspool::crash
