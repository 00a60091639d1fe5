// Faults at the n-th call: what a store does on a disk that fails, with as little memory as SQLite gets, and what is
// there after the next start and after the next power cut.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crash/run.h"

namespace twinspool::crash {

struct Fault {
  enum class Kind : std::uint8_t { error, full, cut, kill };
  Kind kind = Kind::error;
  Disk::Call call = Disk::Call::write;
  bool any_call = false;   // and not `call` alone
  std::uint64_t from = 0;  // the n-th of them, from 0
  bool for_ever = false;
};
std::string to_string(const Fault& fault);

// How often `fault`'s call is made by the workload without a fault.
std::uint64_t calls_made(const Fault& fault);
// One run: the workload with the fault, a start on what the page cache has, and starts after power cuts. `wrong` gets
// what is not as promised. False: the fault never came about.
bool run_with(const Fault& fault, std::vector<std::string>& wrong);

// The same with SQLite's n-th allocation.
struct MemoryFault {
  std::uint64_t from = 0;
  bool for_ever = false;  // until the step of the workload ends
};
bool run_with(const MemoryFault& fault, std::vector<std::string>& wrong);
std::uint64_t memory_calls_made();

}  // namespace twinspool::crash
