#include "ingest/telemetry_checks.h"

#include <algorithm>
#include <charconv>

#include "ingest/rfc3339.h"
#include "ingest/text.h"

namespace twinspool::ingest {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

}  // namespace

tl::unexpected<ApiError> refuse(int status, std::string_view code, std::string message) {
  return tl::unexpected(ApiError{.status = status, .code = code, .message = std::move(message)});
}

tl::unexpected<ApiError> invalid(std::string message) { return refuse(400, "InvalidArgument", std::move(message)); }

bool same_ignoring_case(std::string_view text, std::string_view lower_case) {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](char c, char wanted) { return lower(c) == wanted; });
}

std::string size_against(std::size_t size, std::size_t limit) {
  return "is " + std::to_string(size) + " bytes, the limit is " + std::to_string(limit);
}

Checked check_text(std::string_view what, std::string_view value) {
  if (const auto fault = text_fault(value); !fault.empty())
    return invalid(std::string(what) + ": " + quoted(value) + " " + std::string(fault));
  return {};
}

Checked check_short_text(std::string_view what, std::string_view value) {
  if (value.size() > kHeaderTextBytesMax)
    return invalid(std::string(what) + " " + size_against(value.size(), kHeaderTextBytesMax));
  return check_text(what, value);
}

Checked check_message_id(std::string_view what, std::string_view message_id) {
  if (message_id.empty())
    return invalid(std::string(what) +
                   " is missing or empty, send one that no other message of this twin has, such as a UUID");
  return check_short_text(what, message_id);
}

Checked check_source_time(std::string_view what, std::string_view source_time, SourceTimeRule rule) {
  if (source_time.empty() || rule == SourceTimeRule::any || is_rfc3339(source_time))
    return check_short_text(what, source_time);
  return invalid(std::string(what) + ": " + quoted(source_time) +
                 " is not a time of RFC 3339, as in 2023-10-31T23:20:50.52Z");
}

Checked check_content_type(const http::Headers& headers, std::string_view wanted) {
  const auto type = headers.get("Content-Type");
  const std::string remedy = "send -H 'Content-Type: " + std::string(wanted) + "'";
  if (!type) return refuse(415, "UnsupportedMediaType", "there is no Content-Type, " + remedy);
  if (!same_ignoring_case(trimmed(type->substr(0, type->find(';'))), wanted))
    return refuse(415, "UnsupportedMediaType", "Content-Type " + quoted(*type) + " is not taken, " + remedy);
  const auto encoding = headers.get("Content-Encoding");
  if (encoding && !same_ignoring_case(trimmed(*encoding), "identity"))
    return refuse(415, "UnsupportedMediaType",
                  "Content-Encoding " + quoted(*encoding) + " is not taken, send the body as it is");
  return {};
}

Checked check_length(const http::Headers& headers, std::size_t limit) {
  const auto length = headers.get("Content-Length");
  if (!length) return {};
  std::size_t bytes = 0;
  const auto [end, error] = std::from_chars(length->data(), length->data() + length->size(), bytes);
  if (error == std::errc() && bytes <= limit) return {};
  if (error == std::errc::invalid_argument) return {};  // the HTTP server lets no such pass
  return refuse(413, "PayloadTooLarge",
                "the body is " + std::string(length->data(), end) + " bytes, the limit is " + std::to_string(limit));
}

}  // namespace twinspool::ingest
