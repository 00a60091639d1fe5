// A message as the HTTP request that the cloud gets. Pure; the same message gives the same bytes at every attempt.
#pragma once

#include <optional>
#include <string>

#include "spool/telemetry.h"

namespace twinspool::forward {

struct RequestTarget {
  std::string authority;  // Host
  std::string api_version;
};

// Why a message cannot be put into a request without changing it or breaking the framing (a line end in a header, a
// space in the path): nullopt for every message that the local API accepted.
std::optional<std::string> why_unsendable(const Telemetry& telemetry);

// Path, headers and body byte for byte as the application sent them; what it left out is left out. `token` may be
// empty.
std::string telemetry_request(const Telemetry& telemetry, const RequestTarget& target, const std::string& token);

}  // namespace twinspool::forward
