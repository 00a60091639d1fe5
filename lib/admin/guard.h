// Who may ask what of the admin API, as far as a request itself tells. Pure.
//
// A browser on an operator's machine is the danger: pages of others make it send requests to loopback addresses, and
// `ssh -L` puts even the admin socket on one. So:
//   - a page that rebinds its own name to 127.0.0.1 (DNS rebinding) shows in Host, which must be this machine's name;
//   - a page of another site shows in Origin or Sec-Fetch-Site, and is refused, except a link that somebody followed;
//   - by TCP, where no file mode says who may, nothing can be changed.
#pragma once

#include <cstdint>
#include <optional>

#include "http/message.h"

namespace twinspool::admin {

enum class Door : std::uint8_t {
  socket,  // who may connect may also change things. Host may be any name without a dot: `curl http://gateway/status`
  tcp,     // admin.http: reading only
};

// nullopt: to be answered. Else 403 or 405, which say what is accepted.
std::optional<http::Response> why_refused(const http::Request& request, Door door);

}  // namespace twinspool::admin
