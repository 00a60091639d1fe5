// The forwarder's log lines: each change of the endpoint's state once, single lanes and messages within a budget. Loop
// thread.
#pragma once

#include <string>

#include "forward/endpoint.h"
#include "forward/log_budget.h"
#include "forward/outcome.h"
#include "spool/spool.h"
#include "util/error.h"
#include "util/time.h"

namespace twinspool::forward {

class DeliveryLog {
 public:
  explicit DeliveryLog(std::string authority) : authority_(std::move(authority)) {}

  void watch(const Endpoint& endpoint, TimePoint now);  // at the end of each turn
  void held(const Message& head, const Outcome& outcome, TimePoint now);
  void quarantined(const Message& message, const Outcome& outcome, TimePoint now);
  void read_failed(const Error& error);  // once, until
  void read_again();

 private:
  static constexpr std::uint32_t kLinesMax = 20;  // a minute, about single lanes or messages

  const std::string authority_;
  bool logged_up_ = false;
  FailureClass logged_trouble_ = FailureClass::none;
  int logged_status_ = 0;
  bool logged_read_failure_ = false;
  LogBudget held_lines_{kLinesMax}, quarantine_lines_{kLinesMax};
};

}  // namespace twinspool::forward
