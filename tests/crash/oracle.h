// What an application and a cloud know of a store's messages, and whether a store that was started agrees with them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "spool/spool.h"

namespace twinspool::crash {

struct Event {
  enum class What : std::uint8_t {
    sent,
    acknowledged,
    finishing,
    recorded,
    recalling,  // an operator puts it back: a replay or a retry
    recalled,
    purging,
    purged
  };
  What what = What::sent;
  std::size_t at = 0;                               // operations of the disk that were done before
  std::shared_ptr<const Telemetry> telemetry = {};  // sent
  std::string id = {};                              // acknowledged, and what operators do
  Sequence sequence = 0;                            // acknowledged, finishing, recorded
  Finished::How how = Finished::How::delivered;     // finishing
};

// What is found in a store.
struct Found {
  std::vector<Message> queued;  // in the order in which they are read
  std::vector<Message> quarantined;
  SpoolStats stats;
  std::string integrity;  // what SQLite says
};

class Oracle {
 public:
  struct Known {
    std::shared_ptr<const Telemetry> telemetry;
    std::size_t place = 0;  // in the order of sending
    Sequence sequence = 0;  // acknowledged with it
    bool finishing = false, recorded = false;
    Finished::How how = Finished::How::delivered;
    bool recalling = false, recalled = false;  // once, with another sequence behind all others
    std::size_t recalled_place = 0;
    bool purging = false, purged = false;
  };

  // `drops`: a limit may drop acknowledged messages from the front, and they are counted.
  // `may_be_degraded`: the store says so where something happened to it.
  struct Rules {
    bool drops = false;
    bool may_be_degraded = false;
  };

  void apply(const Event& event);
  // Everything that is wrong; empty: the promise holds.
  std::vector<std::string> differences(const Found& found, const Rules& rules) const;

  std::vector<const Known*> unacknowledged() const;         // in the order of sending
  std::vector<const Known*> left(Finished::How how) const;  // durably, and nobody put it back or purged it
  const Known* newest_acknowledged() const {
    return newest_acknowledged_.empty() ? nullptr : &of(newest_acknowledged_);
  }
  std::uint64_t version() const { return version_; }  // changes with all that it learns

 private:
  class Comparison;
  const Known& of(const std::string& id) const { return known_.at(id); }

  std::map<std::string, Known> known_;           // by Message-Id
  std::map<Sequence, std::string> by_sequence_;  // acknowledged
  std::string newest_acknowledged_;
  std::size_t sent_ = 0;
  std::uint64_t version_ = 0;
};

}  // namespace twinspool::crash
