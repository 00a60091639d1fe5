#include "ops/admin_call.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "ops/call.h"
#include "ops/sockets.h"

namespace twinspool::ops {

namespace {

tl::unexpected<Failure> fail_with(ExitCode code, std::string text) {
  return tl::unexpected(Failure{code, std::move(text)});
}

std::string refusal_text(const http::Response& response) {
  if (const auto document = json::Document::parse(response.body)) {
    if (auto message = document->value("error.message")) return *message;
  }
  return fmt::format("HTTP {} {}", response.status, http::reason_phrase(response.status));
}

}  // namespace

tl::expected<http::Response, Failure> try_admin(const std::string& admin_socket, std::string_view method,
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

tl::expected<http::Response, ExitCode> ask_admin(const std::string& admin_socket, std::string_view method,
                                                 std::string_view target, std::string body, Duration timeout) {
  auto response = try_admin(admin_socket, method, target, std::move(body), timeout);
  if (!response) return tl::unexpected(report(response.error()));
  return std::move(*response);
}

tl::expected<StatusAnswer, Failure> try_status(const std::string& admin_socket) {
  auto response = try_admin(admin_socket, "GET", "/status");
  if (!response) return tl::unexpected(response.error());
  auto document = json::Document::parse(response->body);
  if (!document) return fail_with(kFailed, fmt::format("{} answered no JSON: {}", admin_socket, document.error().what));
  return StatusAnswer{std::move(*document), std::move(response->body)};
}

ExitCode report(const Failure& failure) {
  std::fprintf(stderr, "twinspool: %s\n", failure.what.c_str());
  return failure.code;
}

}  // namespace twinspool::ops
