// Durations, sizes and modes as people write them. Pure. Errors say what is accepted, and nothing about where it stood.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "util/error.h"
#include "util/time.h"

namespace twinspool {

Result<Duration> parse_duration(std::string_view text);    // 500ms 30s 5m 24h 7d, and a bare 0
Result<std::uint64_t> parse_size(std::string_view text);   // 4096 512B 64KiB 16MiB 4GiB 1TiB
Result<unsigned> parse_mode(std::string_view text);        // 0660: four octal digits, permission bits only
Result<std::uint64_t> parse_count(std::string_view text);  // a whole number without sign
Result<double> parse_number(std::string_view text);        // 2 or 1.5

std::string duration_text(Duration duration);     // as parse_duration reads it, in the largest unit that fits
std::string size_text(std::uint64_t size_bytes);  // as parse_size reads it, likewise

}  // namespace twinspool
