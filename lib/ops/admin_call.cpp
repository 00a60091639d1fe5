#include "ops/admin_call.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "ops/call.h"
#include "ops/sockets.h"
#include "util/json.h"

namespace twinspool::ops {

namespace {

tl::unexpected<ExitCode> fail_with(ExitCode code, const std::string& text) {
  std::fprintf(stderr, "twinspool: %s\n", text.c_str());
  return tl::unexpected(code);
}

std::string refusal_text(const http::Response& response) {
  if (const auto document = json::Document::parse(response.body)) {
    if (auto message = document->value("error.message")) return *message;
  }
  return fmt::format("HTTP {} {}", response.status, http::reason_phrase(response.status));
}

}  // namespace

tl::expected<http::Response, ExitCode> ask_admin(const std::string& admin_socket, std::string_view method,
                                                 std::string_view target, std::string body, Duration timeout) {
  http::Request request{.method = std::string(method),
                        .target = std::string(target),
                        .headers = {{"Host", "localhost"}},
                        .body = std::move(body)};
  if (!request.body.empty()) request.headers.add("Content-Type", "application/json");
  auto response = call(admin_socket, request, timeout);
  if (!response) {
    if (response.error().code == Errc::unreachable)
      return fail_with(kNotReachable, why_not_reachable(admin_socket, response.error().what));
    return fail_with(kFailed, fmt::format("no answer from {}: {}", admin_socket, response.error().what));
  }
  if (response->status < 200 || response->status > 299)
    return fail_with(kFailed, fmt::format("the daemon refuses: {}", refusal_text(*response)));
  return std::move(*response);
}

}  // namespace twinspool::ops
