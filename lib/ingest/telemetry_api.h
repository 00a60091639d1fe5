// SendTelemetry and SendComponentTelemetry, as the cloud has them: an HTTP request becomes Telemetry, or a refusal that
// says what was wrong and what is accepted. Pure: the time is an argument.
//
// The bytes that are forwarded are kept as received: path, header values, body. Whatever the cloud would refuse for
// ever is refused here, where the sender still hears of it.
#pragma once

#include <optional>

#include "config/config.h"
#include "http/message.h"
#include "ingest/telemetry_checks.h"
#include "spool/telemetry.h"
#include "util/time.h"

namespace twinspool::ingest {

struct Accepted {
  Telemetry telemetry;
  bool source_time_not_rfc3339 = false;  // the application's, kept all the same
};

// All that can be said before the body was read. nullopt: go on.
std::optional<ApiError> check_head(const http::Request& head, const IngestConfig& config);

// The whole request; checks the head too. `accepted_at` stamps a message that has no source time, if the configuration
// says so.
tl::expected<Accepted, ApiError> read_telemetry(http::Request&& request, const IngestConfig& config,
                                                WallTime accepted_at);

}  // namespace twinspool::ingest
