#include "spool/forecast.h"

#include <algorithm>

namespace twinspool {

namespace {

constexpr double kSecondsMax = 10 * 365 * 86400.0;  // beyond that it is no forecast

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::optional<Duration> after(double messages, double per_second) {
  if (messages <= 0) return Duration::zero();
  if (per_second <= 0 || messages / per_second > kSecondsMax) return std::nullopt;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(messages / per_second));
}

// How many more messages of the present mean weight fit; nullopt: no limit, or nothing tells the weight.
std::optional<double> room(const SpoolStats& spool, const StoreConfig& limits) {
  std::optional<double> least;
  const auto consider = [&least](double messages) { least = least ? std::min(*least, messages) : messages; };
  const auto queued = static_cast<double>(spool.queued_messages);
  if (limits.max_messages > 0) consider(static_cast<double>(limits.max_messages) - queued);
  if (spool.queued_messages > 0) {
    const double mean = std::max(1.0, static_cast<double>(spool.queued_bytes) / queued);
    if (limits.max_size > 0)
      consider((static_cast<double>(limits.max_size) - static_cast<double>(spool.queued_bytes)) / mean);
    if (limits.min_free > 0)
      consider((static_cast<double>(spool.disk_free_bytes) - static_cast<double>(limits.min_free)) / mean);
  }
  if (spool.ingest_closed_by_space) consider(0);
  return least;
}

}  // namespace

Forecast::Sample Forecast::sample_of(TimePoint now, const SpoolStats& spool) {
  return {.at = now, .arrived = spool.accepted, .left = spool.delivered + spool.quarantined + spool.dropped};
}

void Forecast::add(TimePoint now, const SpoolStats& spool) {
  const Sample sample = sample_of(now, spool);
  // Counts only grow, except where a damaged store was salvaged: what came before says nothing then.
  if (!samples_.empty() && (sample.arrived < samples_.back().arrived || sample.left < samples_.back().left))
    samples_.clear();
  samples_.push_back(sample);
  while (samples_.size() > 2 && samples_[1].at <= now - kArrivalsOver) samples_.pop_front();
}

const Forecast::Sample* Forecast::newest_before(TimePoint moment) const {
  const Sample* found = nullptr;
  for (const Sample& sample : samples_) {
    if (found != nullptr && sample.at > moment) break;
    found = &sample;
  }
  return found;
}

Outlook Forecast::outlook(TimePoint now, const SpoolStats& spool, const StoreConfig& limits) const {
  Outlook outlook;
  const Sample last = sample_of(now, spool);
  const auto rate = [&](Duration over, std::uint64_t Sample::*count) -> std::optional<double> {
    const Sample* first = newest_before(now - over);
    if (first == nullptr || now - first->at < kForecastEvery || last.*count < first->*count) return std::nullopt;
    return static_cast<double>(last.*count - first->*count) / seconds(now - first->at);
  };
  outlook.arrivals_per_second = rate(kArrivalsOver, &Sample::arrived);
  outlook.departures_per_second = rate(kDeparturesOver, &Sample::left);
  if (spool.queued_messages == 0) outlook.drain_eta = Duration::zero();
  const std::optional<double> fits = room(spool, limits);
  if (fits && *fits <= 0) outlook.time_to_full = Duration::zero();
  if (!outlook.arrivals_per_second || !outlook.departures_per_second) return outlook;
  const double shrinks = *outlook.departures_per_second - *outlook.arrivals_per_second;
  outlook.drain_eta = after(static_cast<double>(spool.queued_messages), shrinks);
  if (fits) outlook.time_to_full = after(*fits, -shrinks);
  return outlook;
}

}  // namespace twinspool
