#include "sim/oracle.h"

#include <algorithm>

namespace twinspool::sim {

void Oracle::sent(const Telemetry& telemetry, std::uint64_t index) {
  sent_.try_emplace(telemetry.message_id, Sent{.telemetry = telemetry, .index = index});
}

void Oracle::acknowledged(const std::string& message_id) { acknowledged_.insert(message_id); }

void Oracle::taken(const Telemetry& telemetry, bool answer_lost) {
  const auto found = sent_.find(telemetry.message_id);
  if (found == sent_.end()) return violated("phantom: " + telemetry.message_id + " was never sent");
  Sent& message = found->second;
  // A message without a source time gets one when it is accepted, and keeps it.
  if (message.telemetry.source_time.empty() && message.times_taken == 0)
    message.telemetry.source_time = telemetry.source_time;
  if (!(telemetry == message.telemetry) || telemetry.source_time.empty()) violated("altered: " + telemetry.message_id);

  const std::string lane = order_ == Order::whole_queue ? "" : telemetry.twin;
  std::uint64_t& newest_of_life = newest_of_life_[lane];
  if (message.index < newest_of_life && !refused_may_be_overtaken_)
    violated("reordered: " + telemetry.message_id + " again after index " + std::to_string(newest_of_life));
  newest_of_life = std::max(newest_of_life, message.index);
  if (message.times_taken == 0) {
    std::uint64_t& newest = newest_taken_[lane];
    const bool excused = refused_may_be_overtaken_ && message.refused;
    if (message.index <= newest && !excused)
      violated("reordered: " + telemetry.message_id + " after index " + std::to_string(newest));
    newest = std::max(newest, message.index);
  } else if (message.times_lost > 0) {
    --message.times_lost;
  } else if (message.may_repeat) {
    message.may_repeat = false;
    if (++duplicates_since_begin_ > duplicates_max_) violated("too many sent again after a crash");
  } else {
    violated("doubled: " + telemetry.message_id + " was taken and answered before");
  }
  ++message.times_taken;
  if (answer_lost) ++message.times_lost;
}

void Oracle::begins_anew(const std::set<std::string>& in_queue, bool unrecorded) {
  duplicates_since_begin_ = 0;
  newest_of_life_.clear();
  for (auto& [id, message] : sent_)
    message.may_repeat = (unrecorded || message.may_repeat) && message.times_taken > 0 && in_queue.contains(id);
}

void Oracle::found(const std::set<std::string>& in_queue, const std::set<std::string>& in_quarantine) {
  for (const std::string& id : acknowledged_) {
    if (sent_.at(id).times_taken == 0 && !in_queue.contains(id) && !in_quarantine.contains(id))
      violated("lost: " + id + " is neither with the cloud nor in the queue or the quarantine");
  }
}

std::vector<std::string> Oracle::missing(const std::set<std::string>& in_quarantine) const {
  std::vector<std::string> wrong;
  for (const std::string& id : acknowledged_) {
    const Sent& message = sent_.at(id);
    const bool poison = message.telemetry.body.find("poison") != std::string::npos;
    const bool quarantined = in_quarantine.contains(id);
    if (message.times_taken == 0 && !quarantined) wrong.push_back("missing: " + id);
    if (message.times_taken > 0 && poison) wrong.push_back("poison was delivered: " + id);
    if (quarantined && !poison && !message.twin_was_missing) wrong.push_back("quarantined for nothing: " + id);
  }
  return wrong;
}

}  // namespace twinspool::sim
