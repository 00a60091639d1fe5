// Faults of ours, which the explorer must find soon: what finds nothing proves nothing.
#include "crash/explorer.h"
#include "crash/workloads.h"
#include "support/catch.h"

namespace twinspool::crash {
namespace {

constexpr std::uint64_t kStates = 2000;

Explorer explored(const std::string& name, const Plants& plants) {
  const Recording recording = workload(name).record(plants);
  Explorer explorer({.name = name, .states = kStates, .wrong_max = 1, .nested_one_in = 0});
  explorer.explore(recording);
  return explorer;
}

bool found(const Explorer& explorer, const std::string& what) {
  for (const std::string& violation : explorer.violations())
    if (violation.find(what) != std::string::npos) return true;
  return false;
}

TEST_CASE("the explorer finds a store that acknowledges before its commit", "[crash][planted]") {
  CHECK(found(explored("batches", {.acknowledge_early = true}), "lost: "));
}

TEST_CASE("the explorer finds a store that does not sync its WAL", "[crash][planted]") {
  const auto lie = [](const std::string& name, bool) { return name.ends_with("-wal"); };
  CHECK(found(explored("batches", {.lies = lie}), "lost: "));
}

TEST_CASE("the explorer finds a store that syncs nothing", "[crash][planted]") {
  CHECK(explored("lives", {.lies = [](const std::string&, bool) { return true; }}).wrong_states() > 0);
}

TEST_CASE("the explorer finds a store that does not sync its database before it overwrites the WAL",
          "[crash][planted]") {
  const auto lie = [](const std::string& name, bool) { return name == "queue.db"; };
  CHECK(explored("full_disk", {.lies = lie}).wrong_states() > 0);
}

TEST_CASE("the explorer finds a store that does not sync its directory", "[crash][planted]") {
  const auto lie = [](const std::string&, bool directory) { return directory; };
  CHECK(explored("one_by_one", {.lies = lie}).wrong_states() > 0);
}

TEST_CASE("the explorer finds a store that takes a block in flight for safe", "[crash][planted]") {
  pretend_powersafe_overwrite(true);
  const Explorer explorer = explored("batches", {});
  pretend_powersafe_overwrite(false);
  CHECK(found(explorer, "lost: "));
}

// A failed sync, a start that believes the page cache, another commit, and the power goes.
TEST_CASE("the explorer finds a start that does not copy what the page cache alone has", "[crash][planted]") {
  for (const bool kill_known : {true, false}) {
    Run run;
    run.start();
    run.send(8);
    run.begin_recording();
    bool failed = false;
    run.disk().set_faults([&](Disk::Call call, const std::string& name) {
      return Disk::Answer{call == Disk::Call::sync && name.ends_with("-wal") && !std::exchange(failed, true) ? EIO : 0};
    });
    run.send(2);
    run.kill();
    run.disk().set_faults({});
    if (!kill_known) {  // it takes the cache for the disk
      Image& image = run.disk().image_to_damage();
      image.node(*image.find("queue.db.run")).content.write(0, "state clean\nboot ");
    }
    run.start();
    run.send(3);
    Explorer explorer({.name = "restart", .states = kStates, .wrong_max = 1, .nested_one_in = 0});
    explorer.explore(run.recording({.may_be_degraded = true}));
    CHECK((explorer.wrong_states() == 0) == kill_known);
  }
}

}  // namespace
}  // namespace twinspool::crash
