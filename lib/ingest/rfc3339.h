// Is this text a date-time of RFC 3339? Pure.
#pragma once

#include <string_view>

namespace twinspool::ingest {

// Strict: the grammar of section 5.6 (T and Z in either case, no space for the T, any number of fraction digits,
// offsets up to 23:59, -00:00 included), days that exist, and second 60 only in the last minute of a month in UTC,
// where leap seconds are put.
bool is_rfc3339(std::string_view text);

}  // namespace twinspool::ingest
