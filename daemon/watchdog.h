// Feeds the service manager's watchdog ($WATCHDOG_USEC, sd_watchdog_enabled(3)) as long as there is progress, and only
// then: the loop turns, the store's writer ends what it begins, and the forwarder sends or knows what it waits for.
// Without such a watchdog it does nothing, and wakes nobody.
//
// Loop thread. What it watches outlives it.
#pragma once

#include <functional>
#include <memory>

#include "net/event_loop.h"
#include "spool/spool.h"

namespace twinspool {

class Watchdog {
 public:
  // `is_stuck`: whether the forwarder could send, and nothing is under way that would make it do so.
  Watchdog(net::EventLoop& loop, Spool& spool, std::function<bool()> is_stuck);

 private:
  void look();
  void feed();
  void ask_writer();

  net::EventLoop& loop_;
  Spool& spool_;
  std::function<bool()> is_stuck_;
  Duration every_{};
  bool was_stuck_ = false;
  bool is_hungry_ = false;                 // the last look found no progress
  std::shared_ptr<bool> writer_answered_;  // whoever answers late finds it alone
  net::Timer timer_;
};

}  // namespace twinspool
