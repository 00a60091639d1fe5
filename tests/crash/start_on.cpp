// A start after a power cut, of explorer.h.
#include <algorithm>

#include "crash/explorer.h"

namespace twinspool::crash {
namespace {

class Start {
 public:
  Start(const Image& state, const Recording& recording, const Oracle& oracle, bool same_boot)
      : oracle_(oracle),
        rules_(recording.rules),
        disk_(state),
        gateway_(disk_, after(recording.clocks, same_boot), recording.config) {
    seed_random(state.hash());
  }

  std::vector<std::string> run() {
    if (Result<void> started = gateway_.start(); !started) {
      wrong("it does not start: " + started.error().what);
      return std::move(wrong_);
    }
    if (!look_around()) return std::move(wrong_);
    send_again();
    gateway_.kill();
    return std::move(wrong_);
  }

  void keep(Recording& nested, const Image& state, const Recording& recording) {
    nested.durable = state;
    nested.oracle = oracle_;
    nested.ops = disk_.ops();
    nested.events = std::move(events_);
    nested.rules = recording.rules;
    nested.config = recording.config;
    nested.clocks = gateway_.clocks();
  }

 private:
  static Clocks after(Clocks clocks, bool same_boot) {
    if (!same_boot) clocks.reboot();
    return clocks;
  }
  void wrong(std::string what) { wrong_.push_back(std::move(what)); }

  bool look_around() {
    Result<Found> found = gateway_.look();
    if (!found) {
      wrong("it cannot be read: " + found.error().what);
      return false;
    }
    found_ = std::move(*found);
    wrong_ = oracle_.differences(found_, rules_);
    return wrong_.empty();
  }

  // What has no 204 yet is sent again by its application, and so is what has one whose answer was lost.
  void send_again() {
    Sequence newest = found_.stats.newest;
    for (const Oracle::Known* known : oracle_.unacknowledged()) {
      const auto there = std::find_if(found_.queued.begin(), found_.queued.end(), [&](const Message& message) {
        return message.telemetry.message_id == known->telemetry->message_id;
      });
      if (there == found_.queued.end()) {
        const Sequence given = append(*known->telemetry, false, 0);
        if (given != 0 && given <= newest) wrong("a sequence is given again: " + std::to_string(given));
        newest = std::max(newest, given);
      } else {
        append(*known->telemetry, true, there->sequence);
      }
    }
    if (const Oracle::Known* known = oracle_.newest_acknowledged()) append(*known->telemetry, true, known->sequence);
    append(fresh_, false, 0);
    Result<std::vector<Message>> queued = gateway_.read_all();
    if (!queued || queued->empty() || !(queued->back().telemetry == fresh_))
      wrong("what is sent after the start is not there");
  }

  Sequence append(const Telemetry& telemetry, bool duplicate, Sequence sequence) {
    if (!duplicate)
      note({.what = Event::What::sent, .telemetry = std::make_shared<const Telemetry>(telemetry)}, disk_.recorded());
    const std::size_t before = disk_.recorded();
    const auto receipt = gateway_.append(telemetry);
    if (!receipt) {
      wrong("refused after the start: " + receipt.error().what);
      return 0;
    }
    if (receipt->duplicate != duplicate || (sequence != 0 && receipt->sequence != sequence))
      wrong(telemetry.message_id + " sent again is " + (receipt->duplicate ? "a duplicate of " : "new, as ") +
            std::to_string(receipt->sequence) + " and should be " +
            (duplicate ? "a duplicate of " + std::to_string(sequence) : "new"));
    note({.what = Event::What::acknowledged, .id = telemetry.message_id, .sequence = receipt->sequence},
         disk_.committed_at(before));
    return receipt->sequence;
  }

  void note(Event event, std::size_t at) {
    event.at = at;
    events_.push_back(std::move(event));
  }

  const Oracle oracle_;
  const Oracle::Rules rules_;
  const Telemetry fresh_{
      .twin = "twin-after", .message_id = "after-" + std::to_string(oracle_.version()), .body = "{\"after\":true}"};
  Disk disk_;
  Gateway gateway_;
  Found found_;
  std::vector<Event> events_;
  std::vector<std::string> wrong_;
};

}  // namespace

std::vector<std::string> start_on(const Image& state, const Recording& recording, const Oracle& oracle, bool same_boot,
                                  Recording* nested) {
  Start start(state, recording, oracle, same_boot);
  std::vector<std::string> wrong = start.run();
  if (nested != nullptr) start.keep(*nested, state, recording);
  return wrong;
}

}  // namespace twinspool::crash
