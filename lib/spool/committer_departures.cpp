// What leaves the queue, of committer.h: by the forwarder, by age, and for room.
#include "spool/committer.h"

#include <algorithm>

#include "util/log.h"

namespace twinspool {
namespace {

constexpr std::size_t kExpiredPerCommitMax = 4096;

}  // namespace

void Committer::left(std::vector<Finished> finished) {
  const Moment at = now();
  const bool keep = config_.keep_delivered > Duration::zero();
  for (Finished& one : finished) {
    leaving_.add(one.sequence);
    claims_.left(one.sequence);
    departures_.push_back({std::move(one), kRefused, at, keep});  // after a fault they are recorded in the new file
  }
}

// What has left already makes room first.
Result<void> Committer::make_room(const SpaceGate::Load& load, const Moment& at) {
  if (reads_wait()) return {};  // the oldest are still to come, and nothing may be recorded: the gate refuses
  const auto over = [&] {
    const Figures& figures = store_->figures();
    return excess(config_, {figures.queued_messages, figures.queued_bytes}, {load.messages, load.bytes});
  };
  std::optional<Excess> wanted = over();
  if (!wanted || wanted->nothing()) return {};
  if (Result<void> written = write_departures(); !written) return written;
  wanted = over();
  if (wanted->nothing()) return {};
  Result<std::vector<Store::Departure>> chosen =
      dropper_.choose_oldest(*store_, leaving_, *wanted, first_uncommitted_, at);
  if (!chosen) return tl::unexpected(chosen.error());
  return drop(std::move(*chosen), at);
}

Result<void> Committer::expire(const Moment& at) {
  if (config_.max_age <= Duration::zero() || reads_wait()) return {};
  if (oldest_.sequence == 0 || age_ms(oldest_.accepted, at, store_->opened()) < to_ms(config_.max_age)) return {};
  if (departures_.size() >= kExpiredPerCommitMax) return {};        // first what was chosen before must be recorded
  if (Result<void> begun = ensure_writing(); !begun) return begun;  // what is chosen has left, also if this fails
  Result<std::vector<Store::Departure>> chosen =
      dropper_.choose_expired(*store_, leaving_, to_ms(config_.max_age), kExpiredPerCommitMax, at);
  if (!chosen) return tl::unexpected(chosen.error());
  return drop(std::move(*chosen), at);
}

// They go with this commit, before what else has left: should it fail, with the next that records.
Result<void> Committer::drop(std::vector<Store::Departure> chosen, const Moment& at) {
  if (chosen.empty()) return {};
  if (Result<void> begun = ensure_writing(); !begun) return begun;
  dropper_.note(chosen, at.uptime_ms);
  for (const Store::Departure& departure : chosen) leaving_.add(departure.finished.sequence);
  const auto written = departures_.begin() + static_cast<std::ptrdiff_t>(departures_written_);
  const std::size_t count = chosen.size();
  departures_.insert(written, std::make_move_iterator(chosen.begin()), std::make_move_iterator(chosen.end()));
  for (std::size_t i = 0; i < count; ++i, ++departures_written_) {
    const Result<bool> removed = store_->remove(departures_[departures_written_]);
    if (!removed) return tl::unexpected(removed.error());
  }
  return {};
}

std::optional<Duration> Committer::expires_in() {
  const std::int64_t uptime_ms = clocks_.uptime_ms();
  dropper_.note_quiet(uptime_ms);
  if (closed_ || config_.max_age <= Duration::zero() || oldest_.sequence == 0 || !fault_.empty()) return std::nullopt;
  const Moment now{clocks_.wall_ms(), store_->opened().boot, uptime_ms, disk_.seen().clock_synced};
  const std::int64_t left_ms = to_ms(config_.max_age) - age_ms(oldest_.accepted, now, store_->opened());
  return std::chrono::milliseconds(std::max<std::int64_t>(left_ms, 0));
}

Result<void> Committer::write_departures() {
  if (Result<void> begun = ensure_writing(); !begun) return begun;
  while (departures_written_ < std::min(recorded_max_, departures_.size())) {
    const Store::Departure& departure = departures_[departures_written_];
    const Result<bool> removed = store_->remove(departure);
    if (!removed) return tl::unexpected(removed.error());
    if (!*removed) log::warn("store.finished_unknown", {{"sequence", departure.finished.sequence}});
    ++departures_written_;
  }
  return {};
}

}  // namespace twinspool
