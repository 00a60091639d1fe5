#include "ops/rate_history.h"

#include <algorithm>
#include <numeric>

#include "ops/status_view.h"

namespace twinspool::ops {

namespace {

constexpr std::size_t kLooksOfNow = 5;

void keep(std::deque<double>& values, double value) {
  values.push_back(std::max(value, 0.0));  // counts fall where a damaged store was salvaged
  if (values.size() > RateHistory::kLooksMax) values.pop_front();
}

double mean_of_newest(const std::deque<double>& values) {
  const auto count = static_cast<std::ptrdiff_t>(std::min(values.size(), kLooksOfNow));
  return count == 0 ? 0 : std::accumulate(values.end() - count, values.end(), 0.0) / static_cast<double>(count);
}

}  // namespace

void RateHistory::add(TimePoint now, const json::Document& status) {
  const StatusView view(status);
  const Look look{
      .at = now,
      .queued = view.number("queue.messages"),
      .arrived = view.number("totals.accepted"),
      .left = view.number("totals.delivered") + view.number("totals.quarantined") + view.number("totals.dropped")};
  if (!looks_.empty()) {
    const double seconds = std::chrono::duration<double>(now - looks_.back().at).count();
    if (seconds <= 0) return;
    keep(arrivals_, (look.arrived - looks_.back().arrived) / seconds);
    keep(departures_, (look.left - looks_.back().left) / seconds);
  }
  looks_.push_back(look);
  if (looks_.size() > kLooksMax) looks_.pop_front();
}

std::optional<double> RateHistory::seconds_to_empty() const {
  if (looks_.size() < 2) return std::nullopt;
  const Look& last = looks_.back();
  const double seconds = std::chrono::duration<double>(last.at - looks_.front().at).count();
  const double shrinks = (looks_.front().queued - last.queued) / seconds;
  if (shrinks <= 0) return std::nullopt;
  return last.queued / shrinks;
}

double RateHistory::arrivals_now() const { return mean_of_newest(arrivals_); }
double RateHistory::departures_now() const { return mean_of_newest(departures_); }

}  // namespace twinspool::ops
