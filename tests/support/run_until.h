// Turns of a loop until something holds: for tests with real sockets and threads, where the kernel decides how many.
#pragma once

#include <chrono>
#include <thread>

#include "net/event_loop.h"

namespace twinspool {

// Whether `condition` came to hold. The limit only ends a test that hangs; no test waits for it to pass.
template <class Condition>
bool run_until(net::EventLoop& loop, Condition condition, std::chrono::seconds limit = std::chrono::seconds{30}) {
  const auto give_up = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    loop.run_turn();
    std::this_thread::yield();
  }
  return true;
}

// A fixed number of turns: for in-process streams, which need no more than one turn a delivery.
inline void run_turns(net::EventLoop& loop, int count) {
  for (int turn = 0; turn < count; ++turn) loop.run_turn();
}

}  // namespace twinspool
