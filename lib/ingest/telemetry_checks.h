// What is checked of a message's parts, whichever way it came: `what` names the part as its sender wrote it, "the
// header Message-Id" or "messageId". Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "config/config.h"
#include "ingest/api_error.h"
#include "util/error.h"

namespace twinspool::ingest {

constexpr std::size_t kTelemetryBodyBytesMax = 32 * 1024;
constexpr std::size_t kHeaderTextBytesMax = 1024;  // Message-Id, Telemetry-Source-Time, traceparent, each
// Of all its lines together: with a token beside it the head still fits into the 8 KiB that servers take.
constexpr std::size_t kTracestateBytesMax = 4 * 1024;

using Checked = tl::expected<void, ApiError>;

tl::unexpected<ApiError> refuse(int status, std::string_view code, std::string message);
tl::unexpected<ApiError> invalid(std::string message);  // 400 InvalidArgument

bool same_ignoring_case(std::string_view text, std::string_view lower_case);

// "is 40000 bytes, the limit is 32768"
std::string size_against(std::size_t size, std::size_t limit);

Checked check_text(std::string_view what, std::string_view value);        // UTF-8 without control characters
Checked check_short_text(std::string_view what, std::string_view value);  // and at most kHeaderTextBytesMax
Checked check_message_id(std::string_view what, std::string_view message_id);
Checked check_source_time(std::string_view what, std::string_view source_time, SourceTimeRule rule);

// 415 for another type, or where the body is encoded.
Checked check_content_type(const http::Headers& headers, std::string_view wanted);
// 413 where Content-Length says already that the body is over the limit.
Checked check_length(const http::Headers& headers, std::size_t limit);

}  // namespace twinspool::ingest
