// A gateway and the world around it from one seed. TWINSPOOL_SEED=N replays one seed, TWINSPOOL_SEEDS=N changes how
// many run.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "crash/gateway.h"
#include "crash/watchdog.h"
#include "sim/world.h"
#include "support/catch.h"

namespace twinspool::sim {
namespace {

constexpr std::uint64_t kSteps = 300;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSeeds = 400;  // each takes longer
#else
constexpr std::uint64_t kSeeds = 1000;
#endif

// How many events it had.
std::uint64_t run_seed(std::uint64_t seed, const World::Settings& settings) {
  crash::prepare_process();
  INFO("replay with TWINSPOOL_SEED=" << seed);
  World world(seed, settings);
  for (std::uint64_t i = 0; i < kSteps; ++i) {
    crash::Watchdog::watch("TWINSPOOL_SEED=" + std::to_string(seed));
    world.step();
  }
  crash::Watchdog::watch("TWINSPOOL_SEED=" + std::to_string(seed) + ", the end");
  world.heal();
  const auto violations = world.violations();
  std::string all;
  for (const std::string& violation : violations) all += "\n  " + violation;
  INFO(all);
  CHECK(violations.empty());
  CHECK(world.acknowledged() > 0);
  return world.events();
}

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Shards of one range of seeds, so that ctest runs them side by side.
void run_shard(std::uint64_t shard, std::uint64_t shards, const World::Settings& settings, std::uint64_t share) {
  if (const std::uint64_t seed = from_environment("TWINSPOOL_SEED", 0); seed != 0) {
    if (shard == 0) run_seed(seed, settings);
    return;
  }
  const std::uint64_t seeds = from_environment("TWINSPOOL_SEEDS", kSeeds) / share;
  std::uint64_t events = 0;
  const std::clock_t begin = std::clock();
  for (std::uint64_t seed = 1 + shard; seed <= seeds; seed += shards) events += run_seed(seed, settings);
  const double minutes = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC / 60;
  std::printf("%llu events, %.0f a minute of processor time\n", static_cast<unsigned long long>(events),
              static_cast<double>(events) / minutes);
}

}  // namespace

TEST_CASE("in any weather nothing is lost, reordered in a twin, altered or needlessly doubled, shard 1", "[sim]") {
  run_shard(0, 4, {}, 1);
}
TEST_CASE("in any weather nothing is lost, reordered in a twin, altered or needlessly doubled, shard 2", "[sim]") {
  run_shard(1, 4, {}, 1);
}
TEST_CASE("in any weather nothing is lost, reordered in a twin, altered or needlessly doubled, shard 3", "[sim]") {
  run_shard(2, 4, {}, 1);
}
TEST_CASE("in any weather nothing is lost, reordered in a twin, altered or needlessly doubled, shard 4", "[sim]") {
  run_shard(3, 4, {}, 1);
}
TEST_CASE("with forward.order queue the same holds", "[sim]") { run_shard(0, 1, {.order = ForwardOrder::queue}, 5); }
TEST_CASE("with forward.pipeline only what the cloud refused is ever overtaken", "[sim]") {
  run_shard(0, 1, {.pipeline = 4}, 5);
}
TEST_CASE("with forward.pipeline and order queue the same holds", "[sim]") {
  run_shard(0, 1, {.order = ForwardOrder::queue, .pipeline = 8}, 10);
}
TEST_CASE("with forward.rate the same holds, and everything arrives", "[sim]") {
  run_shard(0, 1, {.rate = {.messages = 20, .bytes = 8000}}, 10);
}

}  // namespace twinspool::sim
