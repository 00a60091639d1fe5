// One HTTP request to the daemon over a Unix socket, waited for.
#pragma once

#include <string>

#include "http/message.h"
#include "util/error.h"
#include "util/time.h"

namespace twinspool::ops {

// Blocks: runs an event loop of its own until the answer, an error or the timeout. Errc::unreachable: no connection.
Result<http::Response> call(const std::string& socket_path, const http::Request& request, Duration timeout);

}  // namespace twinspool::ops
