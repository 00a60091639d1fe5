// forward.proxy and forward.no_proxy, taken apart. Pure. No error text repeats a URL: a password may stand in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/error.h"

namespace twinspool {

struct ProxyUrl {
  std::string host;  // lower case, an IPv6 address without its brackets
  std::uint16_t port = 0;
  std::string user;  // decoded; empty: no authentication
  std::string password;

  std::string shown() const;  // host:port, for people: never the user nor the password
};

// http://[user:password@]host:port. In user and password %40 stands for @, %3A for :, %25 for %; other characters may
// stand as they are, so that a password can come from ${ENVIRONMENT}. Errc::invalid.
Result<ProxyUrl> parse_proxy(std::string_view url);

// An entry of forward.no_proxy: a host's name, .suffix for a domain with all below it, an IP address, a block of them
// (10.0.0.0/8, fd00::/8), or * for all. Nothing: it is one of these.
std::optional<std::string> why_bad_no_proxy(std::string_view entry);

// Whether `host` is reached without the proxy. Names are compared, not looked up: addresses and blocks hold for hosts
// that are given as an address.
bool bypasses_proxy(const std::vector<std::string>& no_proxy, std::string_view host);

}  // namespace twinspool
