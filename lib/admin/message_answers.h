// What the routes about single messages answer, and how they read points in time. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "spool/snapshot.h"
#include "spool/spool.h"
#include "spool/whereabouts.h"

namespace twinspool::admin {

std::string whereabouts_json(const Whereabouts& found);
std::string quarantine_json(const std::vector<Quarantined>& all, bool bodies = true);  // as text, byte for byte
std::string recalled_json(const Recalled& recalled, bool dry_run);
std::string snapshot_json(const Snapshot& snapshot);
http::Response failure_response(const Error& error);  // of a look-up, a recall or a snapshot

// RFC 3339, or a duration back from `now_ms`; milliseconds since 1970. nullopt: neither.
std::optional<std::int64_t> point_in_time(std::string_view text, std::int64_t now_ms);

}  // namespace twinspool::admin
