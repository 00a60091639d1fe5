// The request target of SendTelemetry, taken apart: path, ids, api-version. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "ingest/api_error.h"
#include "util/error.h"

namespace twinspool::ingest {

constexpr std::size_t kIdBytesMax = 1024;  // a twin id or component path, as received

struct TelemetryPath {         // views into the target
  std::string_view twin;       // raw bytes, unchecked
  std::string_view component;  // the same
  bool has_component = false;
  std::string_view query;
};

// 404 where the path is none of the two.
tl::expected<TelemetryPath, ApiError> parse_telemetry_target(std::string_view target);

// POST /telemetry:batch; a query does not matter.
bool is_batch_target(std::string_view target);

// `text` as the path bytes that a client makes of it: RFC 3986's unreserved characters and !*'() stay, as JavaScript's
// encodeURIComponent has it, every other byte becomes %XX. The same twin is then the same lane, however it comes.
std::string path_encoded(std::string_view text);
std::string decoded_or_raw(std::string_view text);  // a % that encodes nothing stays

// Percent-encoding of valid UTF-8 as RFC 3986 has it, not empty, not too long, without control characters; and neither
// `.` nor
// `..`, in any spelling: whoever normalises the path on its way would make it another twin's.
tl::expected<void, ApiError> check_id(std::string_view what, std::string_view id);

// Exactly one api-version, one of those that exist; other parameters are not ours.
tl::expected<void, ApiError> check_api_version(std::string_view query);

}  // namespace twinspool::ingest
