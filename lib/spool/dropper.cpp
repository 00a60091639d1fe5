#include "spool/dropper.h"

#include <algorithm>

#include "util/log.h"

namespace twinspool {
namespace {

constexpr std::size_t kRowsAtATime = 256;

Store::Departure departure(Sequence sequence, Finished::How how, const Moment& at) {
  return {.finished = {.sequence = sequence, .how = how}, .reason = to_string(how), .at = at};
}

}  // namespace

Result<std::vector<Store::Departure>> Dropper::choose_oldest(Store& store, const SequenceSet& leaving, Excess excess,
                                                             Sequence uncommitted, const Moment& at) {
  std::vector<Store::Departure> chosen;
  Sequence after = 0;
  while (!excess.nothing()) {
    const Result<std::vector<Store::Front>> rows = store.front(after, kRowsAtATime);
    if (!rows && chosen.empty()) return tl::unexpected(rows.error());
    if (!rows || rows->empty()) break;  // what was chosen has left; the next statement meets the error, too
    after = rows->back().sequence;
    for (const Store::Front& row : *rows) {
      if (excess.nothing() || row.sequence >= uncommitted) return chosen;
      if (leaving.contains(row.sequence) || !claims_.drop(row.sequence)) continue;
      chosen.push_back(departure(row.sequence, Finished::How::dropped, at));
      excess.messages -= std::min<std::uint64_t>(1, excess.messages);
      excess.bytes -= std::min(row.bytes, excess.bytes);
    }
  }
  return chosen;
}

Result<std::vector<Store::Departure>> Dropper::choose_expired(Store& store, const SequenceSet& leaving,
                                                              std::int64_t max_age_ms, std::size_t rows_max,
                                                              const Moment& at) {
  std::vector<Store::Departure> chosen;
  Sequence after = 0;
  while (chosen.size() < rows_max) {
    const Result<std::vector<Store::Front>> rows = store.front(after, kRowsAtATime);
    if (!rows && chosen.empty()) return tl::unexpected(rows.error());
    if (!rows || rows->empty()) break;  // what was chosen has left; the next statement meets the error, too
    after = rows->back().sequence;
    for (const Store::Front& row : *rows) {
      if (age_ms(row.accepted, at, store.opened()) < max_age_ms) return chosen;
      if (leaving.contains(row.sequence) || !claims_.drop(row.sequence)) continue;
      chosen.push_back(departure(row.sequence, Finished::How::expired, at));
    }
  }
  return chosen;
}

void Dropper::note(const std::vector<Store::Departure>& dropped, std::int64_t uptime_ms) {
  if (dropped.empty()) return;
  const bool expired = dropped.front().finished.how == Finished::How::expired;
  if (!(expired ? expired_ : full_).dropped(dropped.size(), uptime_ms)) return;
  log::warn("queue.dropping", {{"reason", dropped.front().reason},
                               {"first", dropped.front().finished.sequence},
                               {"why", expired ? "messages have waited longer than store.max_age"
                                               : "the queue is full and store.when_full is drop_oldest"}});
}

void Dropper::note_quiet(std::int64_t uptime_ms) {
  if (const auto messages = expired_.ended(uptime_ms))
    log::warn("queue.dropped", {{"reason", to_string(Finished::How::expired)}, {"messages", *messages}});
  if (const auto messages = full_.ended(uptime_ms))
    log::warn("queue.dropped", {{"reason", to_string(Finished::How::dropped)}, {"messages", *messages}});
}

}  // namespace twinspool
