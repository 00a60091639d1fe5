// Every call of a workload fails once, and again from there on for ever; then the same with SQLite's allocations.
// TWINSPOOL_SWEEP_RUNS=10000 looks at more of them.
#include <cstdio>
#include <cstdlib>
#include <set>

#include "crash/memory.h"
#include "crash/sweep.h"
#include "crash/watchdog.h"
#include "support/catch.h"

namespace twinspool::crash {
namespace {

std::uint64_t runs_wanted() {
  const char* text = std::getenv("TWINSPOOL_SWEEP_RUNS");
  return text == nullptr ? 1200 : std::strtoull(text, nullptr, 10);
}

// What was wrong, the first of each kind.
class Report {
 public:
  void add(const std::string& fault, const std::vector<std::string>& wrong) {
    ++runs_;
    if (wrong.empty()) return;
    ++bad_;
    std::string kind = wrong.front();
    std::erase_if(kind, [](char c) { return c >= '0' && c <= '9'; });
    if (!kinds_.insert(kind).second) return;
    text_ += "\n  " + fault;
    for (const std::string& one : wrong) text_ += "\n    " + one;
  }
  void conclude(const char* what) const {
    std::printf("%s: %llu runs, %llu of them wrong\n", what, static_cast<unsigned long long>(runs_),
                static_cast<unsigned long long>(bad_));
    INFO(text_);
    CHECK(bad_ == 0);
  }

 private:
  std::uint64_t runs_ = 0, bad_ = 0;
  std::set<std::string> kinds_;
  std::string text_;
};

// `share` of all runs, spread over the calls; with more runs than calls, each call.
void sweep(const char* what, Fault fault, std::uint64_t share) {
  const std::uint64_t calls = calls_made(fault);
  const std::uint64_t runs = std::min(calls, std::max<std::uint64_t>(1, runs_wanted() * share / 100));
  Report report;
  for (std::uint64_t i = 0; i < runs; ++i) {
    fault.from = i * calls / runs;
    Watchdog::watch(to_string(fault));
    std::vector<std::string> wrong;
    run_with(fault, wrong);
    report.add(to_string(fault), wrong);
  }
  report.conclude(what);
}

using Kind = Fault::Kind;
using Call = Disk::Call;

TEST_CASE("sweep: any call fails once", "[sweep]") { sweep("any call fails once", {.any_call = true}, 20); }
TEST_CASE("sweep: any call fails, and all behind it", "[sweep]") {
  sweep("any call fails for ever", {.any_call = true, .for_ever = true}, 10);
}
TEST_CASE("sweep: killed at any call", "[sweep]") { sweep("killed", {.kind = Kind::kill, .any_call = true}, 20); }
TEST_CASE("sweep: a write fails, or is cut, or finds no room", "[sweep]") {
  sweep("a write fails once", {.call = Call::write}, 5);
  sweep("a write fails for ever", {.call = Call::write, .for_ever = true}, 5);
  sweep("a write is cut", {.kind = Kind::cut, .call = Call::write}, 5);
  sweep("all writes are cut", {.kind = Kind::cut, .call = Call::write, .for_ever = true}, 5);
  sweep("no room once", {.kind = Kind::full, .call = Call::write}, 5);
  sweep("no room for ever", {.kind = Kind::full, .call = Call::write, .for_ever = true}, 5);
}
TEST_CASE("sweep: a sync fails", "[sweep]") {
  sweep("a sync fails once", {.call = Call::sync}, 10);
  sweep("a sync fails for ever", {.call = Call::sync, .for_ever = true}, 10);
}

TEST_CASE("sweep: SQLite gets no memory", "[sweep][memory]") {
  std::vector<std::string> none;
  fail_no_allocation();
  Report report;
  const std::uint64_t runs = runs_wanted() / 4;
  MemoryFault fault;
  REQUIRE_FALSE(run_with(MemoryFault{.from = UINT64_MAX}, none));
  REQUIRE(none.empty());
  const std::uint64_t calls = memory_calls_made();
  for (std::uint64_t i = 0; i < runs; ++i) {
    fault.from = i / 2 * 2 * calls / runs;
    fault.for_ever = i % 2 == 1;
    const std::string name = "allocation " + std::to_string(fault.from) + (fault.for_ever ? " and all behind it" : "");
    Watchdog::watch(name);
    std::vector<std::string> wrong;
    run_with(fault, wrong);
    report.add(name, wrong);
  }
  report.conclude("SQLite gets no memory");
}

}  // namespace
}  // namespace twinspool::crash
