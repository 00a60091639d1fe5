// POST /telemetry:batch, many messages in one request: each line of the body (NDJSON) becomes Telemetry, or all are
// refused with what was wrong in each. Pure: the time is an argument.
//
//   {"twin":"pump 1","component":"motor","messageId":"..","sourceTime":"..","traceparent":"..","tracestate":"..",
//    "telemetry":{..}}
//
// `twin`, `messageId` and `telemetry` are required, null is as good as leaving the others out. Twin and component stand
// there as people write them, and are percent-encoded as a client would for the path of the single call, so that they
// are the same lane. The bytes of the telemetry object are kept as they stand in the line. Empty lines are passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/config.h"
#include "http/message.h"
#include "ingest/access.h"
#include "ingest/telemetry_checks.h"
#include "spool/spool.h"
#include "spool/telemetry.h"
#include "util/time.h"

namespace twinspool::ingest {

constexpr std::size_t kBatchMessagesMax = 10'000;  // 413 above: 4 MiB of the shortest lines would take 40 MiB of memory
constexpr std::size_t kBatchDetailsMax = 100;      // bad lines that are told one by one

struct AcceptedBatch {
  std::vector<Telemetry> messages;
  std::vector<std::uint32_t> lines;  // where each stood, from 1
  std::size_t source_times_not_rfc3339 = 0;
};

// All that can be said before the body was read.
std::optional<ApiError> check_batch_head(const http::Request& head, const IngestConfig& config);

// 400, or 403 where all that is wrong is that the socket's peers may not write to some of the twins.
tl::expected<AcceptedBatch, ApiError> read_batch(http::Request&& request, const IngestConfig& config,
                                                 const Access& access, WallTime accepted_at);

// The spool's refusal of a batch whose messages stood in `lines`.
ApiError batch_refused(const Refused& refused, const std::vector<std::uint32_t>& lines);

}  // namespace twinspool::ingest
