// forward.endpoint, taken apart. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "util/error.h"

namespace twinspool::forward {

struct EndpointUrl {
  std::string host;  // lower case, an IPv6 address without its brackets
  std::uint16_t port = 443;
  std::string authority;  // the Host header: with brackets, and with the port where it is not 443
};

// https://host[:port], a single slash behind it is tolerated. Errc::invalid says what is wrong and what is accepted.
Result<EndpointUrl> parse_endpoint(std::string_view url);

}  // namespace twinspool::forward
