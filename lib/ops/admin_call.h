// What a verb asks of the daemon's admin socket, and how it says that it could not.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"
#include "ops/exit_code.h"
#include "util/error.h"
#include "util/time.h"

namespace twinspool::ops {

constexpr Duration kAdminTimeout = std::chrono::seconds(10);

// Blocks. The answer where it is 2xx; else the verb's exit code, once the cause and the remedy were written to stderr.
tl::expected<http::Response, ExitCode> ask_admin(const std::string& admin_socket, std::string_view method,
                                                 std::string_view target, std::string body = {},
                                                 Duration timeout = kAdminTimeout);

}  // namespace twinspool::ops
