// What a verb asks of the daemon's admin socket, and how it says that it could not.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"
#include "ops/exit_code.h"
#include "util/error.h"
#include "util/json.h"
#include "util/time.h"

namespace twinspool::ops {

constexpr Duration kAdminTimeout = std::chrono::seconds(10);

struct Failure {
  ExitCode code = kFailed;
  std::string what;  // the cause and the remedy
};

// Blocks. The answer where it is 2xx.
tl::expected<http::Response, Failure> try_admin(const std::string& admin_socket, std::string_view method,
                                                std::string_view target, std::string body = {},
                                                Duration timeout = kAdminTimeout);

// The same for a verb that ends where it fails: else the exit code, once the Failure was written to stderr.
tl::expected<http::Response, ExitCode> ask_admin(const std::string& admin_socket, std::string_view method,
                                                 std::string_view target, std::string body = {},
                                                 Duration timeout = kAdminTimeout);

struct StatusAnswer {
  json::Document document;
  std::string text;  // as it came
};
tl::expected<StatusAnswer, Failure> try_status(const std::string& admin_socket);

// Writes it to stderr, and gives its exit code.
ExitCode report(const Failure& failure);

}  // namespace twinspool::ops
