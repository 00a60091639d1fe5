// Texts of messages, fit for a terminal or an export. Pure.
#pragma once

#include <string>
#include <string_view>

namespace twinspool::ops {

std::string printable(std::string_view text);        // control characters become "?"
std::string percent_decoded(std::string_view path);  // a % that encodes nothing stays
// A twin or component for a query: what has a % is taken as the views show it, all else as people write it.
std::string query_encoded(std::string_view name);

}  // namespace twinspool::ops
