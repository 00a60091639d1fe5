// The end of the frame that fills a commit's sector is the one write that no sync of that commit covers. Every state in
// which it alone is missing, the next commit whole behind it; then the power goes again, at every moment of the start.
#include <cerrno>

#include "crash/explorer.h"
#include "crash/watchdog.h"
#include "crash/workloads.h"
#include "support/catch.h"

namespace twinspool::crash {
namespace {

constexpr std::size_t kFirstCuts = 8;
constexpr std::uint64_t kVariantsDrawn = 12;

bool ends_a_sector_filling(const Op& op) {
  return op.kind == Op::Kind::write && op.offset > 0 && op.offset % kBlockBytes == 0 && op.bytes->size() < kBlockBytes;
}

std::size_t wrong_after_second_cut(const Recording& start) {
  std::size_t wrong = 0;
  Timeline timeline(start.durable);
  Oracle oracle = start.oracle;
  std::size_t event = 0;
  for (std::size_t moment = 0; moment <= start.ops.size(); ++moment) {
    for (; event < start.events.size() && start.events[event].at <= moment; ++event) oracle.apply(start.events[event]);
    const std::uint64_t variants = timeline.pending() == 0 ? 0 : 2 + 2 * timeline.pending() + kVariantsDrawn;
    for (std::uint64_t variant = 0; variant < variants; ++variant) {
      Watchdog::watch("the second cut, at " + std::to_string(moment) + ":" + std::to_string(variant));
      wrong += start_on(timeline.state(variant, 7 + moment), start, oracle, false, nullptr).empty() ? 0 : 1;
    }
    if (moment < start.ops.size()) timeline.advance(start.ops[moment]);
  }
  return wrong;
}

TEST_CASE("a power cut takes nothing but the end of what fills a sector, and the next one nothing more", "[crash]") {
  const Recording recording = workload("power_cuts").record({});
  Timeline timeline(recording.durable);
  Oracle oracle = recording.oracle;
  std::size_t event = 0;
  std::size_t cuts = 0;
  for (std::size_t moment = 0; moment < recording.ops.size() && cuts < kFirstCuts; ++moment) {
    for (; event < recording.events.size() && recording.events[event].at <= moment; ++event)
      oracle.apply(recording.events[event]);
    const Op& op = recording.ops[moment];
    for (std::size_t i = 0; op.kind == Op::Kind::sync && i < timeline.pending(); ++i) {
      const Op& missing = timeline.pending_op(i);
      if (missing.node != op.node || !ends_a_sector_filling(missing)) continue;
      ++cuts;
      Recording start;
      const Image all_but_it = timeline.state(2 + 2 * i + 1, 1);
      REQUIRE(start_on(all_but_it, recording, oracle, false, &start).empty());
      CHECK(wrong_after_second_cut(start) == 0);
    }
    timeline.advance(op);
  }
  CHECK(cuts >= 3);
}

// What the kernel then shows as written is not on the disk, and only the run file can tell the next start.
TEST_CASE("a start cannot sync what it has completed", "[crash]") {
  const int fails = GENERATE(1, 2, 3);      // so many syncs of the WAL, or of its copy
  const bool full = GENERATE(false, true);  // and there is no room for a copy
  Run run;
  run.start();
  run.send(6);
  run.cut_power();
  int failed = 0;
  run.disk().set_faults([&](Disk::Call call, const std::string& name) {
    const bool of_wal = name.find("queue.db-wal") != std::string::npos;
    if (full && call == Disk::Call::write && name.ends_with("-wal.new")) return Disk::Answer{ENOSPC};
    return Disk::Answer{call == Disk::Call::sync && of_wal && failed < fails && ++failed <= fails ? EIO : 0};
  });
  for (int tries = 0; tries < 5 && !run.try_start(); ++tries) {
  }
  REQUIRE(failed > 0);
  run.disk().set_faults({});
  if (!run.gateway().running()) run.start();
  run.settle();
  for (int i = 0; i < 4; ++i) run.send(2);
  for (const auto poison : {Timeline::Poison::drop, Timeline::Poison::stuck}) {
    Explorer explorer({.name = "sync", .states = 2000, .poison = poison, .wrong_max = 5, .nested_one_in = 0});
    explorer.explore(run.recording({.may_be_degraded = true}));
    for (const std::string& violation : explorer.violations()) UNSCOPED_INFO(violation);
    CHECK(explorer.wrong_states() == 0);
  }
}

}  // namespace
}  // namespace twinspool::crash
