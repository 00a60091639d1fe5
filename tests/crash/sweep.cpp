#include "crash/sweep.h"

#include <cerrno>
#include <functional>

#include "crash/explorer.h"
#include "crash/memory.h"
#include "crash/timeline.h"

namespace twinspool::crash {
namespace {

constexpr Oracle::Rules kRules{.drops = false, .may_be_degraded = true};  // it says what happened to it

// Everything that touches the disk: two lives, commits, records, the quarantine, a full disk's checkpoint. `step` is
// called between them; a store that does not start is started once more, as systemd would.
void use(Run& run, const std::function<void()>& step) {
  const auto started = [&] {
    for (int attempt = 0; attempt < 2 && !run.gateway().running(); ++attempt) {
      run.try_start();
      step();
    }
    return run.gateway().running();
  };
  for (int life = 0; life < 2 && started(); ++life) {
    for (int i = 0; i < 3; ++i) {
      run.send(2);
      step();
      run.deliver(1);
      step();
    }
    run.quarantine();
    step();
    run.settle();
    step();
    run.send(1);
    run.stop();
    step();
  }
}

Disk::Faults faults_of(const Fault& fault, Disk& disk, std::uint64_t& seen, bool& came) {
  return [&, fault](Disk::Call call, const std::string&) -> Disk::Answer {
    if (!fault.any_call && call != fault.call) return {};
    const std::uint64_t n = seen++;
    if (n != fault.from && !(fault.for_ever && n > fault.from)) return {};
    came = true;
    switch (fault.kind) {
      case Fault::Kind::error:
        return {.error = EIO};
      case Fault::Kind::full:
        return {.error = ENOSPC};
      case Fault::Kind::cut:
        return {.error = 0, .cut = true};
      case Fault::Kind::kill:
        disk.freeze();
        return {.error = EIO};
    }
    return {};
  };
}

void note(std::vector<std::string>& wrong, const std::string& when, const std::vector<std::string>& found) {
  for (const std::string& one : found) wrong.push_back(when + ": " + one);
}

// The next process of the same boot, on what the page cache has; and the power may go at once, or after that process
// has taken in more.
void check_after(Run& run, std::vector<std::string>& wrong) {
  const Recording recording = run.recording(kRules);
  Recording restarted;
  note(wrong, "after a restart", start_on(run.disk().image(), recording, run.now(), true, &restarted));
  Recording all = recording;  // the first process, and the second on the same page cache
  all.clocks = restarted.clocks;
  for (Event event : restarted.events) {
    event.at += all.ops.size();
    all.events.push_back(std::move(event));
  }
  const std::size_t moments[] = {all.ops.size(), all.ops.size() + restarted.ops.size()};
  all.ops.insert(all.ops.end(), restarted.ops.begin(), restarted.ops.end());
  for (const auto poison : {Timeline::Poison::drop, Timeline::Poison::stuck}) {
    Timeline timeline(all.durable, poison);
    Oracle oracle = all.oracle;
    std::size_t next = 0;
    for (std::size_t moment = 0; moment <= all.ops.size(); ++moment) {
      if (moment > 0) timeline.advance(all.ops[moment - 1]);
      for (; next < all.events.size() && all.events[next].at <= moment; ++next) oracle.apply(all.events[next]);
      if (moment != moments[0] && moment != moments[1]) continue;
      for (const std::uint64_t variant : {1u, 40u})
        note(wrong, moment == moments[0] ? "after a power cut" : "after a restart and a power cut",
             start_on(timeline.state(variant, 1), all, oracle, false, nullptr));
    }
  }
}

}  // namespace

std::string to_string(const Fault& fault) {
  const char* const kinds[] = {"EIO", "ENOSPC", "a short write", "kill"};
  const char* const calls[] = {"open", "read", "write", "resize", "sync", "name", "look"};
  return std::string(kinds[static_cast<int>(fault.kind)]) + " at call " + std::to_string(fault.from) + " of " +
         (fault.any_call ? "all" : calls[static_cast<int>(fault.call)]) + (fault.for_ever ? " for ever" : "");
}

std::uint64_t calls_made(const Fault& fault) {
  Run run;
  std::uint64_t seen = 0;
  bool came = false;
  Fault never = fault;
  never.from = UINT64_MAX;
  never.for_ever = false;
  run.disk().set_faults(faults_of(never, run.disk(), seen, came));
  use(run, [] {});
  return seen;
}

bool run_with(const Fault& fault, std::vector<std::string>& wrong) {
  Run run;
  std::uint64_t seen = 0;
  bool came = false;
  run.disk().set_faults(faults_of(fault, run.disk(), seen, came));
  use(run, [] {});
  run.kill();
  run.disk().set_faults({});
  check_after(run, wrong);
  return came;
}

std::uint64_t memory_calls_made() {
  fail_no_allocation();
  Run run;
  use(run, [] {});
  return allocations();
}

bool run_with(const MemoryFault& fault, std::vector<std::string>& wrong) {
  Run run;
  bool came = false;
  fail_allocation(fault.from, fault.for_ever);
  use(run, [&] {
    if (!allocation_failed()) return;
    came = true;
    fail_no_allocation();
  });
  came = came || allocation_failed();
  fail_no_allocation();
  run.kill();
  check_after(run, wrong);
  return came;
}

}  // namespace twinspool::crash
