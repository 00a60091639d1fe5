#include "spool/source_quotas.h"

namespace twinspool {
namespace {

constexpr Duration kRetryAfterQuota = std::chrono::seconds(10);

}  // namespace

SourceQuotas::SourceQuotas(std::vector<SourceConfig> sources) {
  for (SourceConfig& source : sources) sources_.push_back({std::move(source), 0});
}

Result<void> SourceQuotas::find_numbers(Store& store) {
  if (sources_.empty()) return {};
  if (Result<void> begun = store.begin(); !begun) return begun;
  for (Known& source : sources_) {
    const Result<SourceNumber> number = store.number_of_source(source.config.name);
    if (!number) return tl::unexpected(number.error());
    source.number = *number;
  }
  return store.commit();
}

SourceNumber SourceQuotas::number_of(Source source) const {
  ENSURE(source <= sources_.size());
  return source == kNoSource ? 0 : sources_[source - 1].number;
}

std::vector<Waiting> SourceQuotas::waiting(const Figures& figures) const {
  std::vector<Waiting> all;
  all.reserve(sources_.size());
  for (const Known& source : sources_) all.push_back(figures.waiting(source.number));
  return all;
}

std::optional<Refused> SourceQuotas::why_over(Source source, const SpaceGate::Load& load,
                                              const Figures& figures) const {
  if (source == kNoSource) return std::nullopt;
  const SourceConfig& config = sources_.at(source - 1).config;
  const Waiting waiting = figures.waiting(sources_.at(source - 1).number);
  struct Limit {
    std::uint64_t held, more, limit;
    const char* unit;
  };
  for (const Limit& l : {Limit{waiting.messages, load.messages, config.quota.messages, " messages"},
                         Limit{waiting.bytes, load.bytes, config.quota.size, " bytes"}}) {
    if (l.limit == 0 || l.held + l.more <= l.limit) continue;
    const std::string quota = "the quota of " + config.name + " is " + std::to_string(l.limit) + l.unit;
    if (l.more > l.limit)
      return Refused{
          Refusal::quota, quota + ", and this alone has " + std::to_string(l.more) + ": send less at once", {}};
    return Refused{Refusal::quota, quota + ", and " + std::to_string(l.held) + " wait for delivery", kRetryAfterQuota};
  }
  return std::nullopt;
}

}  // namespace twinspool
