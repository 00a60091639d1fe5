// Crash states of the real store. TWINSPOOL_CRASH_STATES=1000000 makes it longer, TWINSPOOL_SEED=N draws other states,
// TWINSPOOL_CRASH_REPLAY=workload:moment:variant replays one.
#include <cstdio>
#include <cstdlib>

#include "crash/explorer.h"
#include "crash/workloads.h"
#include "support/catch.h"

namespace twinspool::crash {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kStates = 20'000;  // each takes longer
#else
constexpr std::uint64_t kStates = 102'000;  // some of two workloads may be equal
#endif

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void explore(const std::string& name) {
  const Workload& work = workload(name);
  const std::uint64_t all = number_from("TWINSPOOL_CRASH_STATES", kStates);
  Explorer explorer({.name = name, .states = all * work.share / 100, .seed = number_from("TWINSPOOL_SEED", 1)});
  const Recording recording = work.record({});
  if (const char* replay = std::getenv("TWINSPOOL_CRASH_REPLAY")) {
    Explorer::Place place, nested;
    const int read = std::sscanf(replay, (name + ":%zu:%lu/%zu:%lu").c_str(), &place.moment, &place.variant,
                                 &nested.moment, &nested.variant);
    if (read < 2) return;
    std::printf("%s\n", explorer.replay(recording, place, read == 4 ? std::optional(nested) : std::nullopt).c_str());
  } else {
    explorer.explore(recording);
  }
  std::string all_of_them;
  for (const std::string& violation : explorer.violations()) all_of_them += "\n  " + violation;
  std::printf("%s: %zu operations, %llu unique states (%llu of them in a start), %llu starts, %llu wrong\n",
              name.c_str(), recording.ops.size(), static_cast<unsigned long long>(explorer.states()),
              static_cast<unsigned long long>(explorer.nested()), static_cast<unsigned long long>(explorer.starts()),
              static_cast<unsigned long long>(explorer.wrong_states()));
  INFO(all_of_them);
  CHECK(explorer.violations().empty());
}

// Shards, so that ctest runs them side by side.
TEST_CASE("a power cut loses nothing of a new store with a message a commit", "[crash]") { explore("one_by_one"); }
TEST_CASE("a power cut loses nothing of batches, deliveries and the quarantine", "[crash]") { explore("batches"); }
TEST_CASE("a power cut loses nothing between stops, kills and starts", "[crash]") { explore("lives"); }
TEST_CASE("a power cut loses nothing of what the one before it left", "[crash]") { explore("power_cuts"); }
TEST_CASE("a power cut loses nothing that no limit dropped", "[crash]") { explore("retention"); }
TEST_CASE("a power cut loses nothing while a newer version takes a file over", "[crash]") { explore("migration"); }
TEST_CASE("a power cut loses nothing while a damaged file is salvaged", "[crash]") { explore("salvage"); }
TEST_CASE("a power cut loses nothing while a store is rebuilt after a failed sync", "[crash]") { explore("rebuild"); }
TEST_CASE("a power cut loses nothing that operators put back, and brings back nothing that they threw away",
          "[crash]") {
  explore("operators");
}
TEST_CASE("a power cut loses nothing on a full disk", "[crash]") { explore("full_disk"); }
TEST_CASE("a power cut loses nothing while the file gives its pages back", "[crash]") { explore("giving_back"); }
TEST_CASE("a power cut loses nothing during a checkpoint", "[crash]") { explore("checkpoints"); }

}  // namespace
}  // namespace twinspool::crash
