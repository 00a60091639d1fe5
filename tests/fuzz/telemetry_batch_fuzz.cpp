// Any batch: it is refused with a well-formed answer whose details name lines of it, or every message has the very
// bytes of its line's telemetry, and ids that the single call would take.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ingest/telemetry_batch.h"
#include "ingest/telemetry_target.h"
#include "util/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace twinspool;
  const std::string body(reinterpret_cast<const char*>(data), size);
  http::Request request{.method = "POST",
                        .target = "/telemetry:batch",
                        .headers = {{"Content-Type", "application/x-ndjson"}},
                        .body = body};
  const IngestConfig config{.source_time = size % 2 == 0 ? SourceTimeRule::any : SourceTimeRule::rfc3339};
  const auto batch = ingest::read_batch(std::move(request), config, {}, WallTime{});
  const auto lines = static_cast<std::size_t>(std::count(body.begin(), body.end(), '\n')) + 1;
  if (!batch) {
    ENSURE(batch.error().status == 400 || batch.error().status == 413);
    ENSURE(!json::why_not_an_object(ingest::error_response(batch.error()).body));
    for (const ingest::ErrorDetail& detail : batch.error().details) ENSURE(detail.line >= 1 && detail.line <= lines);
    return 0;
  }
  ENSURE(!batch->messages.empty() && batch->messages.size() == batch->lines.size());
  for (const Telemetry& telemetry : batch->messages) {
    ENSURE(body.find(telemetry.body) != std::string::npos && !json::why_not_an_object(telemetry.body));
    ENSURE(ingest::check_id("twin id", telemetry.twin) && !telemetry.message_id.empty());
    ENSURE(ingest::path_encoded(ingest::decoded_or_raw(telemetry.twin)) == telemetry.twin);
  }
  return 0;
}
