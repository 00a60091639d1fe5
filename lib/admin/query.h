// The query of a request's target. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace twinspool::admin {

std::optional<std::string> query_value(const http::Request& request, std::string_view name);  // raw; nullopt: absent
std::optional<std::uint64_t> number_of(std::string_view text);  // nullopt: not a whole number up to 2^63 - 1

}  // namespace twinspool::admin
