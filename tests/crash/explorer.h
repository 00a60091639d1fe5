// Builds the states that a power cut may have left at every moment of a recording, opens each with the real store, and
// asks the oracle.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "crash/run.h"
#include "crash/timeline.h"

namespace twinspool::crash {

struct Settings {
  std::string name;          // of the workload, for the replay
  std::uint64_t states = 0;  // unique ones, after which it ends
  std::uint64_t seed = 1;
  Timeline::Poison poison = Timeline::Poison::drop;
  std::uint64_t wrong_max = 100;  // or after so many wrong ones
  unsigned nested_one_in = 25;    // of the states: the start after the power cut is cut, too; 0: none
};

class Explorer {
 public:
  explicit Explorer(Settings settings) : settings_(std::move(settings)) {}

  void explore(const Recording& recording);
  // One state alone: of the recording, or of the start on it. Returns what was done before.
  struct Place {
    std::size_t moment = 0;     // so many operations were done
    std::uint64_t variant = 0;  // of Timeline::state()
  };
  std::string replay(const Recording& recording, const Place& place, const std::optional<Place>& nested);

  std::uint64_t states() const { return unique_.size(); }
  std::uint64_t starts() const { return starts_; }  // of the store, some states with more than one oracle
  std::uint64_t nested() const { return nested_; }  // of states(): in a start after a power cut
  // What was wrong, the first of each kind, with how to replay it.
  const std::vector<std::string>& violations() const { return violations_; }
  std::uint64_t wrong_states() const { return wrong_states_; }
  bool done() const { return wrong_states_ >= settings_.wrong_max || unique_.size() >= settings_.states; }

 private:
  static constexpr unsigned kDuplicatesMax = 10;  // in a row: the moment has no other states

  bool round(const Recording& recording, std::uint64_t variant, std::vector<unsigned>& duplicates);
  bool look_at(const Recording& recording, const Timeline& timeline, const Oracle& oracle, const Place& place);
  void nest(const Recording& recording, const std::string& place);
  void check(const Image& state, const Recording& recording, const Oracle& oracle, bool same_boot,
             const std::string& place, Recording* nested);

  const Settings settings_;
  std::unordered_set<std::uint64_t> unique_;
  std::unordered_set<std::uint64_t> checked_;  // with what the oracle knew
  std::uint64_t starts_ = 0;
  std::uint64_t nested_ = 0;
  std::uint64_t wrong_states_ = 0;
  std::set<std::string> kinds_;
  std::vector<std::string> violations_;
};

// What is wrong with the store on `state`, and with what it does next. `nested`: what it did to the disk meanwhile.
std::vector<std::string> start_on(const Image& state, const Recording& recording, const Oracle& oracle, bool same_boot,
                                  Recording* nested);

}  // namespace twinspool::crash
