#include "crash/oracle.h"

#include <algorithm>

#include "util/error.h"

namespace twinspool::crash {

void Oracle::apply(const Event& event) {
  ++version_;
  switch (event.what) {
    case Event::What::sent:  // again, too: the store has not told of it, so it comes behind those sent meanwhile
      known_.try_emplace(event.telemetry->message_id, Known{.telemetry = event.telemetry}).first->second.place =
          ++sent_;
      return;
    case Event::What::acknowledged:
      known_.at(event.id).sequence = event.sequence;
      by_sequence_[event.sequence] = event.id;
      newest_acknowledged_ = event.id;
      return;
    case Event::What::finishing: {
      Known& known = known_.at(by_sequence_.at(event.sequence));
      known.finishing = true;
      known.how = event.how;
      return;
    }
    case Event::What::recorded:
      known_.at(by_sequence_.at(event.sequence)).recorded = true;
      return;
    case Event::What::recalling:
      known_.at(event.id).recalling = true;
      known_.at(event.id).recalled_place = ++sent_;
      return;
    case Event::What::recalled:
      known_.at(event.id).recalled = true;
      return;
    case Event::What::purging:
      known_.at(event.id).purging = true;
      return;
    case Event::What::purged:
      known_.at(event.id).purged = true;
      return;
  }
}

std::vector<const Oracle::Known*> Oracle::left(Finished::How how) const {
  std::vector<const Known*> all;
  for (const auto& [id, known] : known_)
    if (known.recorded && known.how == how && !known.recalling && !known.purging) all.push_back(&known);
  std::sort(all.begin(), all.end(), [](const Known* a, const Known* b) { return a->sequence < b->sequence; });
  return all;
}

std::vector<const Oracle::Known*> Oracle::unacknowledged() const {
  std::vector<const Known*> all;
  for (const auto& [id, known] : known_)
    if (known.sequence == 0) all.push_back(&known);
  std::sort(all.begin(), all.end(), [](const Known* a, const Known* b) { return a->place < b->place; });
  return all;
}

class Oracle::Comparison {
 public:
  Comparison(const Oracle& oracle, const Found& found, const Rules& rules)
      : oracle_(oracle), found_(found), rules_(rules) {}

  std::vector<std::string> run() {
    for (const Message& message : found_.queued) look_at_queued(message);
    for (const Message& message : found_.quarantined) look_at_quarantined(message);
    for (const auto& [id, known] : oracle_.known_) look_for(id, known);
    look_at_figures();
    if (found_.integrity != "ok") wrong("integrity check: " + found_.integrity);
    if (!rules_.may_be_degraded && !found_.stats.degraded.empty()) wrong("degraded: " + found_.stats.degraded);
    if (!found_.stats.fault.empty()) wrong("fault: " + found_.stats.fault);
    return std::move(wrong_);
  }

 private:
  void wrong(const std::string& what) { wrong_.push_back(what); }

  const Known* known_or_wrong(const Message& message, const char* where) {
    const auto found = oracle_.known_.find(message.telemetry.message_id);
    if (found == oracle_.known_.end()) {
      wrong("phantom: " + message.telemetry.message_id + " is " + where + " and was never sent");
      return nullptr;
    }
    const Known& known = found->second;
    if (!(*known.telemetry == message.telemetry)) wrong("altered: " + message.telemetry.message_id);
    const bool put_back = known.recalling && message.sequence > known.sequence;
    if (known.sequence != 0 && known.sequence != message.sequence && !put_back)
      wrong("renumbered: " + message.telemetry.message_id + " was acknowledged as " + std::to_string(known.sequence) +
            " and is " + std::to_string(message.sequence));
    return &known;
  }

  void look_at_queued(const Message& message) {
    const std::string& id = message.telemetry.message_id;
    if (message.sequence <= last_) wrong("out of order: sequence " + std::to_string(message.sequence));
    last_ = message.sequence;
    if (!queued_.emplace(id, message.sequence).second) wrong("twice: " + id);
    const Known* known = known_or_wrong(message, "queued");
    if (known == nullptr) return;
    if (known->recorded && !known->recalling) wrong("back again: " + id + " left the queue, durably");
    const std::size_t place = known->recalling ? known->recalled_place : known->place;
    const auto [newest, first] = newest_of_twin_.try_emplace(message.telemetry.twin, place);
    if (!first && place <= newest->second) wrong("reordered in its twin: " + id);
    newest->second = place;
  }

  void look_at_quarantined(const Message& message) {
    const Known* known = known_or_wrong(message, "in the quarantine");
    if (known == nullptr) return;
    if (!quarantined_.emplace(message.telemetry.message_id, message.sequence).second)
      wrong("twice in the quarantine: " + message.telemetry.message_id);
    if (!known->finishing || known->how != Finished::How::quarantined)
      wrong("in the quarantine without a reason: " + message.telemetry.message_id);
    if (queued_.contains(message.telemetry.message_id))
      wrong("queued and in the quarantine: " + message.telemetry.message_id);
    if (known->recalled || known->purged)
      wrong("in the quarantine, from where it was taken: " + message.telemetry.message_id);
  }

  void look_for(const std::string& id, const Known& known) {
    if (known.sequence == 0) return;
    const bool quarantined = known.finishing && known.how == Finished::How::quarantined;
    if (queued_.contains(id) || (quarantined && quarantined_.contains(id))) return;
    if (known.purging || (known.finishing && !quarantined && !known.recalled)) return;
    if (rules_.drops && missing_ < found_.stats.dropped && known.sequence < first_kept()) {
      ++missing_;
      return;
    }
    wrong("lost: " + id + ", acknowledged as " + std::to_string(known.sequence));
  }

  Sequence first_kept() const { return found_.queued.empty() ? UINT64_MAX : found_.queued.front().sequence; }

  void look_at_figures() {
    const SpoolStats& s = found_.stats;
    if (s.accepted != s.queued_messages + s.delivered + s.quarantined + s.dropped)
      wrong("accepted " + std::to_string(s.accepted) + " is not queued " + std::to_string(s.queued_messages) +
            " + delivered " + std::to_string(s.delivered) + " + quarantined " + std::to_string(s.quarantined) +
            " + dropped " + std::to_string(s.dropped));
    if (s.queued_messages != found_.queued.size())
      wrong("figures say " + std::to_string(s.queued_messages) + " queued, and " +
            std::to_string(found_.queued.size()) + " are");
    std::uint64_t bytes = 0;
    for (const Message& message : found_.queued) bytes += weight(message.telemetry);
    if (s.queued_bytes != bytes)
      wrong("figures say " + std::to_string(s.queued_bytes) + " bytes queued, and " + std::to_string(bytes) + " are");
    if (s.quarantine_messages != found_.quarantined.size())
      wrong("figures say " + std::to_string(s.quarantine_messages) + " in the quarantine, and " +
            std::to_string(found_.quarantined.size()) + " are");
    if (!rules_.drops && s.dropped != 0) wrong("dropped " + std::to_string(s.dropped) + " without a limit");
    std::size_t acknowledged = 0, recorded = 0, finishing = 0, recalled = 0, recalling = 0;
    for (const auto& [id, known] : oracle_.known_) {
      acknowledged += known.sequence != 0 ? 1u : 0u;
      recorded += known.recorded && known.how == Finished::How::delivered ? 1u : 0u;
      finishing += known.finishing && known.how == Finished::How::delivered ? 1u : 0u;
      recalled += known.recalled ? 1u : 0u;
      recalling += known.recalling ? 1u : 0u;
    }
    const auto expect_within = [&](const char* what, std::uint64_t number, std::size_t least, std::size_t most) {
      if (number < least || number > most)
        wrong(what + (" " + std::to_string(number)) + " of " + std::to_string(least) + " to " + std::to_string(most));
    };
    // What is put back is accepted again.
    expect_within("accepted", s.accepted, acknowledged + recalled, oracle_.known_.size() + recalling);
    expect_within("put back", s.replayed + s.retried, recalled, recalling);
    expect_within("delivered", s.delivered, recorded, finishing);
  }

  const Oracle& oracle_;
  const Found& found_;
  const Rules& rules_;
  std::vector<std::string> wrong_;
  Sequence last_ = 0;
  std::size_t missing_ = 0;
  std::map<std::string, Sequence> queued_, quarantined_;
  std::map<std::string, std::size_t> newest_of_twin_;
};

std::vector<std::string> Oracle::differences(const Found& found, const Rules& rules) const {
  return Comparison(*this, found, rules).run();
}

}  // namespace twinspool::crash
