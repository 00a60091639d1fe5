#include "forward/telemetry_request.h"

#include <string_view>

namespace twinspool::forward {

namespace {

bool breaks_header(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

bool breaks_path(std::string_view segment) {
  for (const char c : segment) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7F || c == '?' || c == '#') return true;
  }
  return false;
}

void add_header(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

std::optional<std::string> why_unsendable(const Telemetry& telemetry) {
  if (telemetry.twin.empty() || breaks_path(telemetry.twin)) return "the twin id cannot stand in a request's path";
  if (breaks_path(telemetry.component)) return "the component cannot stand in a request's path";
  if (telemetry.message_id.empty() || breaks_header(telemetry.message_id))
    return "the Message-Id cannot stand in a header";
  if (breaks_header(telemetry.source_time)) return "the source time cannot stand in a header";
  if (breaks_header(telemetry.traceparent)) return "the traceparent cannot stand in a header";
  if (breaks_header(telemetry.tracestate)) return "the tracestate cannot stand in a header";
  return std::nullopt;
}

std::string telemetry_request(const Telemetry& telemetry, const RequestTarget& target, const std::string& token) {
  constexpr std::size_t kFixedTextBytes = 384;
  std::string out;
  out.reserve(kFixedTextBytes + telemetry.twin.size() + telemetry.component.size() + telemetry.message_id.size() +
              telemetry.source_time.size() + telemetry.traceparent.size() + telemetry.tracestate.size() +
              telemetry.body.size() + target.authority.size() + token.size());
  out.append("POST /digitaltwins/").append(telemetry.twin);
  if (!telemetry.component.empty()) out.append("/components/").append(telemetry.component);
  out.append("/telemetry?api-version=").append(target.api_version).append(" HTTP/1.1\r\n");
  add_header(out, "Host", target.authority);
  add_header(out, "User-Agent", "twinspool/" TWINSPOOL_VERSION);
  if (!token.empty()) out.append("Authorization: Bearer ").append(token).append("\r\n");
  add_header(out, "Content-Type", "application/json");
  add_header(out, "Message-Id", telemetry.message_id);
  add_header(out, "Telemetry-Source-Time", telemetry.source_time);
  add_header(out, "traceparent", telemetry.traceparent);
  add_header(out, "tracestate", telemetry.tracestate);
  add_header(out, "Content-Length", std::to_string(telemetry.body.size()));
  out.append("\r\n").append(telemetry.body);
  return out;
}

}  // namespace twinspool::forward
