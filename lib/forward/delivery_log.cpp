#include "forward/delivery_log.h"

#include <algorithm>
#include <utility>

#include "util/log.h"

namespace twinspool::forward {

void DeliveryLog::watch(const Endpoint& endpoint, TimePoint now) {
  if (endpoint.ailing()) {
    const Outcome& trouble = endpoint.trouble();
    if (trouble.failure == logged_trouble_ && trouble.status == logged_status_) return;
    logged_trouble_ = trouble.failure;
    logged_status_ = trouble.status;
    logged_up_ = false;
    const Duration retry_in = endpoint.retry_at() == kNever ? Duration::zero() : endpoint.retry_at() - now;
    log::warn("forward.waiting", {{"class", to_string(trouble.failure)},
                                  {"why", describe(trouble)},
                                  {"retry_in", to_human(std::max(retry_in, Duration::zero()))}});
  } else if (endpoint.state() == Endpoint::State::up && !std::exchange(logged_up_, true)) {
    logged_trouble_ = FailureClass::none;
    logged_status_ = 0;
    log::info("forward.up", {{"endpoint", authority_}});
  }
}

void DeliveryLog::held(const Message& head, const Outcome& outcome, TimePoint now) {
  if (const auto left_out = held_lines_.spend(now)) {
    log::warn("lane.held", {{"twin", head.telemetry.twin},
                            {"sequence", head.sequence},
                            {"why", describe(outcome)},
                            {"unlogged", *left_out}});
  }
}

void DeliveryLog::quarantined(const Message& message, const Outcome& outcome, TimePoint now) {
  if (const auto left_out = quarantine_lines_.spend(now)) {
    log::warn("message.quarantined", {{"sequence", message.sequence},
                                      {"twin", message.telemetry.twin},
                                      {"message_id", message.telemetry.message_id},
                                      {"why", describe(outcome)},
                                      {"unlogged", *left_out}});
  }
}

void DeliveryLog::read_failed(const Error& error) {
  if (!std::exchange(logged_read_failure_, true)) log::warn("forward.read_failed", {{"why", error.what}});
}

void DeliveryLog::read_again() { logged_read_failure_ = false; }

}  // namespace twinspool::forward
