// Any target and headers: a request is refused with a well-formed answer, or kept byte for byte, and the check before
// the body never refuses what the whole check would accept.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ingest/telemetry_api.h"
#include "util/json.h"

namespace {

using namespace twinspool;

std::string_view take_line(std::string_view& rest) {
  const std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  http::Request request{
      .method = std::string(take_line(rest)), .target = std::string(take_line(rest)), .headers = {}, .body = {}};
  for (const std::string_view name :
       {"Message-Id", "Content-Type", "Telemetry-Source-Time", "traceparent", "tracestate"}) {
    const std::string_view value = take_line(rest);
    if (!value.empty()) request.headers.add(name, value);
  }
  request.body = std::string(rest);

  const IngestConfig config{.source_time = size % 2 == 0 ? SourceTimeRule::any : SourceTimeRule::rfc3339};
  const auto at_head = ingest::check_head(request, config);
  const auto result = ingest::read_telemetry(http::Request(request), config, WallTime{});
  if (!result) {
    ENSURE(result.error().status >= 400 && result.error().status < 500);
    ENSURE(!json::why_not_an_object(ingest::error_response(result.error()).body));
    return 0;
  }
  const Telemetry& telemetry = result->telemetry;
  ENSURE(!at_head);
  ENSURE(telemetry.body == request.body && !json::why_not_an_object(telemetry.body));
  ENSURE(!telemetry.twin.empty() && request.target.find("/" + telemetry.twin + "/") != std::string::npos);
  ENSURE(telemetry.message_id == request.headers.get("Message-Id"));
  return 0;
}
