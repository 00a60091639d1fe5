// Texts of messages and figures, fit for a terminal or an export. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace twinspool::ops {

// One character a column: what could move the cursor or is no text becomes "?".
std::string printable(std::string_view text);
std::size_t columns_of(std::string_view text);  // of UTF-8 that printable() has been over
std::string_view first_columns(std::string_view text, std::size_t columns);
std::string shortened(std::string_view text, std::size_t columns);  // with "..." where something was cut off

std::string grouped(std::uint64_t number);           // 1,234,567
std::string human_bytes(double bytes);               // 3.2 MiB
std::string percent_decoded(std::string_view path);  // a % that encodes nothing stays
// A twin or component for a query: what has a % is taken as the views show it, all else as people write it.
std::string query_encoded(std::string_view name);

}  // namespace twinspool::ops
