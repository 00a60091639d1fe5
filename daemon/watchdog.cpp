#include "watchdog.h"

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "notify.h"
#include "util/log.h"

namespace twinspool {
namespace {

// Within the watchdog's time: one that finds nothing wrong a moment too late costs no restart.
constexpr int kLooks = 3;

std::int64_t number_in(const char* variable) {
  const char* text = std::getenv(variable);
  const std::string_view digits = text ? text : "";
  std::int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

// Zero: there is no watchdog, or it watches another process.
Duration watchdog_time() {
  const std::int64_t pid = number_in("WATCHDOG_PID");
  if (pid != 0 && pid != getpid()) return {};
  return std::chrono::microseconds(number_in("WATCHDOG_USEC"));
}

}  // namespace

Watchdog::Watchdog(net::EventLoop& loop, Spool& spool, std::function<bool()> is_stuck)
    : loop_(loop),
      spool_(spool),
      is_stuck_(std::move(is_stuck)),
      every_(watchdog_time() / kLooks),
      timer_(loop.timers(), [this] { look(); }) {
  if (every_ <= Duration::zero()) return;
  feed();
  ask_writer();
  timer_.set_after(every_);
}

void Watchdog::look() {
  timer_.set_after(every_);
  const bool is_stuck = is_stuck_();
  const bool stays_stuck = is_stuck && was_stuck_;  // once may be between two turns
  was_stuck_ = is_stuck;
  if (*writer_answered_ && !stays_stuck) {
    feed();
    return ask_writer();
  }
  if (!is_hungry_)
    log::error("daemon.no_progress",
               {{"why", stays_stuck ? "messages could be sent, and nothing sends them" : "the disk does not answer"},
                {"now", "the service manager restarts the daemon when this lasts"}});
  is_hungry_ = true;
}

void Watchdog::feed() {
  is_hungry_ = false;
  notify_service_manager("WATCHDOG=1");
}

void Watchdog::ask_writer() {
  writer_answered_ = std::make_shared<bool>(false);
  spool_.ping([this, answered = std::weak_ptr<bool>(writer_answered_)] {
    const auto alive = answered.lock();
    if (!alive) return;
    *alive = true;
    if (is_hungry_ && !was_stuck_) feed();  // late, but it came
  });
}

}  // namespace twinspool
