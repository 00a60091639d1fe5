// The checksum that every row of messages and of the quarantine carries: over all that will be sent, the names of twin
// and component included, and over the sequence. What does not match it was damaged on disk and is never sent.
#pragma once

#include <array>

#include "spool/telemetry.h"
#include "util/digest.h"

namespace twinspool {

class RowChecksum {  // one per thread
 public:
  std::int64_t of(Sequence sequence, const Telemetry& telemetry) {
    std::array<char, 8> number{};
    for (std::size_t i = 0; i < number.size(); ++i) number[i] = static_cast<char>(sequence >> (8 * i));
    return static_cast<std::int64_t>(digester_.digest64({{number.data(), number.size()},
                                                         telemetry.twin,
                                                         telemetry.component,
                                                         telemetry.message_id,
                                                         telemetry.source_time,
                                                         telemetry.traceparent,
                                                         telemetry.tracestate,
                                                         telemetry.body}));
  }

 private:
  // Fixed for ever: a checksum tells damage, not intent, and must be verifiable by any tool that has the file.
  static constexpr DigestKey kKey = {'t', 'w', 'i', 'n', 's', 'p', 'o', 'o', 'l', '-', 'r', 'o', 'w', '-', 'v', '1'};
  Digester digester_{kKey};
};

}  // namespace twinspool
