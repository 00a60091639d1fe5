#include "sim/issuer.h"

#include "support/standin_answers.h"
#include "util/error.h"

namespace twinspool::sim {
namespace {

constexpr std::string_view kBearer = "Bearer ";
constexpr const char* kFaults[] = {"500",     "503",           "401",       "hang",       "reset",
                                   "html",    "junk",          "empty",     "echo",       "no_token",
                                   "no_life", "negative_life", "huge_life", "line_break", "wrong_type"};

}  // namespace

Issuer::Issuer(net::EventLoop& loop, std::function<WallTime()> wall_clock)
    : loop_(loop), wall_clock_(std::move(wall_clock)), server_(loop, http::ServerOptions{}, *this) {}

// One fault after the other, again and again, or a few and then none.
void Issuer::change_weather(std::mt19937_64& random) {
  const auto number = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  if (number(1, 3) == 1) return issuer_.clear_faults();
  std::string steps;
  for (int i = number(1, 3); i > 0; --i)
    steps += (steps.empty() ? "" : ",") + std::string(kFaults[number(0, std::size(kFaults) - 1)]);
  ENSURE(issuer_.set_faults(steps, number(1, 2) == 1, number(1, 2) == 1 ? "7" : "").has_value());
}

bool Issuer::authorized(const http::Request& request) const {
  const std::string_view value = request.headers.get("Authorization").value_or("");
  return value.starts_with(kBearer) && issuer_.valid(value.substr(kBearer.size()), loop_.now());
}

std::optional<http::Response> Issuer::on_head(const http::Request&, const net::PeerCredentials&, std::size_t&) {
  return std::nullopt;
}

void Issuer::on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials&) {
  const auto reply = issuer_.token(request, {.monotonic = loop_.now(), .wall = wall_clock_()});
  if (reply.reset) return server_.abort(exchange);
  if (!reply.hang) server_.respond(exchange, reply.response);
}

http::Response Issuer::on_fault(int status, const std::string& reason) {
  return test::error_answer(status, "BadRequest", reason);
}

}  // namespace twinspool::sim
