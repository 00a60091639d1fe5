#include "crash/explorer.h"

#include "crash/watchdog.h"

namespace twinspool::crash {
namespace {

// The oracle beside the disk, operation by operation.
class Walk {
 public:
  Walk(const Recording& recording, Timeline::Poison poison)
      : recording_(recording), timeline_(recording.durable, poison), oracle_(recording.oracle) {
    learn();
  }
  bool step() {
    if (moment_ == recording_.ops.size()) return false;
    timeline_.advance(recording_.ops[moment_++]);
    learn();
    return true;
  }
  std::size_t moment() const { return moment_; }
  const Timeline& timeline() const { return timeline_; }
  const Oracle& oracle() const { return oracle_; }

 private:
  void learn() {
    for (; next_ < recording_.events.size() && recording_.events[next_].at <= moment_; ++next_)
      oracle_.apply(recording_.events[next_]);
  }
  const Recording& recording_;
  Timeline timeline_;
  Oracle oracle_;
  std::size_t moment_ = 0;
  std::size_t next_ = 0;
};

// The operations before `moment`, the last of them.
std::string history(const Recording& recording, std::size_t moment, std::size_t count = 60) {
  std::map<NodeId, std::string> names{{kRoot, "/"}};
  for (const auto& [id, node] : recording.durable.nodes())
    for (const auto& [name, entry] : node.entries) names[entry] = name;
  std::string text;
  for (std::size_t i = 0; i < std::min(moment, recording.ops.size()); ++i) {
    const Op& op = recording.ops[i];
    std::string line = std::to_string(i) + " ";
    switch (op.kind) {
      case Op::Kind::write:
        line += "write " + names[op.node] + " " + std::to_string(op.offset) + " +" + std::to_string(op.bytes->size());
        break;
      case Op::Kind::resize:
        line += "resize " + names[op.node] + " " + std::to_string(op.offset);
        break;
      case Op::Kind::sync:
      case Op::Kind::failed_sync:
        line += (op.kind == Op::Kind::sync ? "sync " : "failed sync ") + names[op.node];
        break;
      case Op::Kind::entries:
        for (const Op::Entry& entry : op.entries) {
          if (entry.node) names[*entry.node] = entry.name;
          line += (entry.node ? "name " : "unname ") + entry.name + " ";
        }
        break;
    }
    if (i + count >= moment) text += "\n    " + line;
  }
  return text;
}

}  // namespace

void Explorer::explore(const Recording& recording) {
  std::vector<unsigned> duplicates(recording.ops.size() + 1);
  for (std::uint64_t variant = 0; !done() && round(recording, variant, duplicates); ++variant) {
  }
}

// One variant of every moment. False: there are no more states.
bool Explorer::round(const Recording& recording, std::uint64_t variant, std::vector<unsigned>& duplicates) {
  bool more = false;
  for (Walk walk(recording, settings_.poison); !done();) {
    unsigned& in_a_row = duplicates[walk.moment()];
    if (in_a_row < kDuplicatesMax) {
      more = true;
      in_a_row = look_at(recording, walk.timeline(), walk.oracle(), {walk.moment(), variant}) ? 0 : in_a_row + 1;
      if (walk.timeline().pending() == 0) in_a_row = kDuplicatesMax;
    }
    if (!walk.step()) break;
  }
  return more;
}

// False: it was looked at before.
bool Explorer::look_at(const Recording& recording, const Timeline& timeline, const Oracle& oracle, const Place& place) {
  const Image state = timeline.state(place.variant, settings_.seed + place.moment);
  const std::uint64_t hash = state.hash();
  unique_.insert(hash);
  if (!checked_.insert(mixed(hash, oracle.version())).second) return false;
  const std::string where = settings_.name + ":" + std::to_string(place.moment) + ":" + std::to_string(place.variant);
  // With all that was written it is also what a kill -9 leaves to the next process of the same boot.
  if (place.variant == 0) check(state, recording, oracle, true, where, nullptr);
  const bool nests = settings_.nested_one_in != 0 && hash % settings_.nested_one_in == 0;
  Recording nested;
  check(state, recording, oracle, false, where, nests ? &nested : nullptr);
  if (nests) nest(nested, where);
  return true;
}

// One state a moment of what the start did.
void Explorer::nest(const Recording& recording, const std::string& place) {
  Walk walk(recording, settings_.poison);
  while (walk.step() && !done()) {
    const std::uint64_t variant = 1 + (settings_.seed + walk.moment()) % (2 * walk.timeline().pending() + 8);
    const Image state = walk.timeline().state(variant, settings_.seed + walk.moment());
    const std::uint64_t hash = state.hash();
    if (unique_.insert(hash).second) ++nested_;
    if (!checked_.insert(mixed(hash, walk.oracle().version())).second) continue;
    check(state, recording, walk.oracle(), false,
          place + "/" + std::to_string(walk.moment()) + ":" + std::to_string(variant), nullptr);
  }
}

void Explorer::check(const Image& state, const Recording& recording, const Oracle& oracle, bool same_boot,
                     const std::string& place, Recording* nested) {
  ++starts_;
  Watchdog::watch(place);
  const std::vector<std::string> wrong = start_on(state, recording, oracle, same_boot, nested);
  if (wrong.empty()) return;
  ++wrong_states_;
  std::string kind = wrong.front();
  std::erase_if(kind, [](char c) { return c >= '0' && c <= '9'; });
  if (!kinds_.insert(kind).second) return;
  std::string text = "TWINSPOOL_SEED=" + std::to_string(settings_.seed) + " TWINSPOOL_CRASH_REPLAY=" + place +
                     (same_boot ? " (same boot)" : "");
  for (const std::string& one : wrong) text += "\n    " + one;
  violations_.push_back(std::move(text));
}

std::string Explorer::replay(const Recording& recording, const Place& place, const std::optional<Place>& nested) {
  Walk walk(recording, settings_.poison);
  while (walk.moment() < place.moment && walk.step()) {
  }
  const Image state = walk.timeline().state(place.variant, settings_.seed + place.moment);
  Recording start;
  if (!nested && place.variant == 0) check(state, recording, walk.oracle(), true, settings_.name, nullptr);
  check(state, recording, walk.oracle(), false, settings_.name, &start);
  std::string text = history(recording, place.moment);
  if (!nested) return text;
  Walk then(start, settings_.poison);
  while (then.moment() < nested->moment && then.step()) {
  }
  text += "\n  the start:" + history(start, nested->moment);
  check(then.timeline().state(nested->variant, settings_.seed + nested->moment), start, then.oracle(), false,
        settings_.name, nullptr);
  return text;
}

}  // namespace twinspool::crash
