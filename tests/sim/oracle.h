// What must hold whatever happens, checked as it happens: nothing acknowledged is lost, no twin's messages are
// reordered, nothing is altered, nothing arrives twice that need not.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "spool/telemetry.h"

namespace twinspool::sim {

class Oracle {
 public:
  enum class Order : std::uint8_t { per_twin, whole_queue };
  // `refused_may_be_overtaken`: with a pipeline, by those that were under way behind it.
  Oracle(Order order, std::size_t duplicates_max, bool refused_may_be_overtaken)
      : order_(order), duplicates_max_(duplicates_max), refused_may_be_overtaken_(refused_may_be_overtaken) {}

  // The application hands over a message; `index` counts up, in the order of the calls.
  void sent(const Telemetry& telemetry, std::uint64_t index);
  void acknowledged(const std::string& message_id);
  void taken(const Telemetry& telemetry, bool answer_lost);  // by the cloud
  void refused(const std::string& message_id) { sent_.at(message_id).refused = true; }
  void twin_was_missing(const std::string& message_id) { sent_.at(message_id).twin_was_missing = true; }
  void answer_perhaps_lost(const std::string& message_id) { ++sent_.at(message_id).times_lost; }
  // Another forwarder begins. `unrecorded`: the daemon was killed, or could not record what it had delivered, so that
  // of what the cloud has already each message in the queue may be sent once more.
  void begins_anew(const std::set<std::string>& in_queue, bool unrecorded);
  // What a daemon finds that has just started.
  void found(const std::set<std::string>& in_queue, const std::set<std::string>& in_quarantine);

  std::size_t acknowledged_count() const { return acknowledged_.size(); }
  // At the end, when the queue is empty: acknowledged messages that are neither with the cloud nor in the quarantine,
  // and what is there and should not be.
  std::vector<std::string> missing(const std::set<std::string>& in_quarantine) const;

  const std::vector<std::string>& violations() const { return violations_; }

 private:
  struct Sent {
    Telemetry telemetry;
    std::uint64_t index = 0;
    std::size_t times_taken = 0;
    std::size_t times_lost = 0;  // answers that did not arrive
    bool refused = false;        // by the cloud, once at least
    bool twin_was_missing = false;
    bool may_repeat = false;  // is with the cloud, and was in the queue when the forwarder began
  };
  void violated(const std::string& what) { violations_.push_back(what); }

  const Order order_;
  const std::size_t duplicates_max_;
  const bool refused_may_be_overtaken_;
  std::map<std::string, Sent> sent_;
  std::set<std::string> acknowledged_;
  std::map<std::string, std::uint64_t> newest_taken_;    // twin (or all) → index
  std::map<std::string, std::uint64_t> newest_of_life_;  // the same, of this forwarder, repeats too
  std::size_t duplicates_since_begin_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace twinspool::sim
