#include "spool/figures.h"

#include <algorithm>
#include <tuple>

namespace twinspool {

Waiting Figures::waiting(SourceNumber source) const {
  const auto found =
      std::find_if(sources.begin(), sources.end(), [&](const auto& one) { return one.source == source; });
  return found == sources.end() ? Waiting{} : found->queued;
}

void Figures::appended(SourceNumber source, std::uint64_t bytes) {
  ++next_sequence;
  ++accepted;
  queued(source, bytes);
}

void Figures::queued(SourceNumber source, std::uint64_t bytes) {
  ++queued_messages;
  queued_bytes += bytes;
  for (SourceFigures& one : sources) {
    if (one.source != source) continue;
    ++one.queued.messages;
    one.queued.bytes += bytes;
    return;
  }
  sources.push_back({source, {1, bytes}});
}

// A damaged row may claim any weight and any source. Nothing goes below zero for it, an empty queue weighs nothing, and
// where the sources do not add up for it any more they are counted again at the next start.
void Figures::left_queue(SourceNumber source, std::uint64_t bytes) {
  --queued_messages;
  const auto one =
      std::find_if(sources.begin(), sources.end(), [&](const auto& each) { return each.source == source; });
  if (one != sources.end()) {
    bytes = one->queued.messages == 1 ? one->queued.bytes : std::min(bytes, one->queued.bytes);
    one->queued.bytes -= bytes;
    if (--one->queued.messages == 0) sources.erase(one);
  }
  queued_bytes -= std::min(bytes, queued_bytes);
  if (queued_messages > 0) return;
  queued_bytes = 0;
  sources.clear();
}

Waiting Figures::of_all_sources() const {
  Waiting all;
  for (const SourceFigures& one : sources) {
    all.messages += one.queued.messages;
    all.bytes += one.queued.bytes;
  }
  return all;
}

bool Figures::with_rows_tell(const Figures& newer) const {
  const auto others = [](const Figures& f) {
    return std::tie(f.duplicates, f.delivered, f.quarantined, f.dropped, f.expired, f.lost, f.quarantine_messages,
                    f.replayed, f.retried, f.kept_messages, f.kept_bytes);
  };
  const std::uint64_t appended = newer.next_sequence - next_sequence;
  return appended < kFiguresLagMax && newer.accepted - accepted == appended &&
         newer.queued_messages - queued_messages == appended && others(*this) == others(newer);
}

std::string Figures::sources_text() const {
  std::string text = "[";
  for (const SourceFigures& one : sources) {
    text += text.size() == 1 ? "[" : ",[";
    text += std::to_string(one.source) + "," + std::to_string(one.queued.messages) + "," +
            std::to_string(one.queued.bytes) + "]";
  }
  return text + "]";
}

}  // namespace twinspool
