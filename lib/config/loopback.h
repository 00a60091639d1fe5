// The address of admin.http: this machine's own, so that nobody reaches it from outside. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace twinspool {

struct LoopbackAddress {
  std::string ip;  // 127.0.0.0/8 or ::1
  std::uint16_t port = 0;
};

// `127.0.0.1:9464`, `[::1]:9464` or `localhost:9464` (127.0.0.1); port 0: one that is free. nullopt: anything else.
std::optional<LoopbackAddress> parse_loopback(std::string_view text);

// A host name or address of this machine, as it stands in a URL without the port: localhost, 127.0.0.0/8, [::1].
bool is_loopback_host(std::string_view host);

}  // namespace twinspool
