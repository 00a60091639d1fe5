// Where messages come from: the numbers their rows have, and what may be queued of each at the same time. Writer
// thread.
#pragma once

#include <optional>
#include <vector>

#include "spool/space.h"
#include "spool/spool.h"
#include "spool/store.h"

namespace twinspool {

class SourceQuotas {
 public:
  explicit SourceQuotas(std::vector<SourceConfig> sources);  // in the order that Source counts them

  Result<void> find_numbers(Store& store);  // of an open store; a new source gets one
  SourceNumber number_of(Source source) const;
  std::vector<Waiting> waiting(const Figures& figures) const;  // in the order of the constructor's

  // Whether `load` is more than may come now: a quota counts what is queued of its source; duplicates cost nothing.
  std::optional<Refused> why_over(Source source, const SpaceGate::Load& load, const Figures& figures) const;

 private:
  struct Known {
    SourceConfig config;
    SourceNumber number = 0;
  };
  std::vector<Known> sources_;
};

}  // namespace twinspool
