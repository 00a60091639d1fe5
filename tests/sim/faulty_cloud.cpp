#include "sim/faulty_cloud.h"

#include "support/standin_answers.h"
#include "util/error.h"

namespace twinspool::sim {
namespace {

http::Response error(int status, const std::string& code) {
  return {.status = status,
          .headers = {{"Content-Type", "application/json; charset=utf-8"}, {"x-ms-error-code", code}},
          .body = R"({"error":{"code":")" + code + R"(","message":"said by the simulation"}})"};
}

Telemetry telemetry_of(const http::Request& request) {
  std::optional<Telemetry> telemetry = test::telemetry_target(request.target);
  ENSURE(telemetry.has_value());
  const auto header = [&](std::string_view name) { return std::string(request.headers.get(name).value_or("")); };
  telemetry->message_id = header("Message-Id");
  telemetry->source_time = header("Telemetry-Source-Time");
  telemetry->traceparent = header("traceparent");
  telemetry->tracestate = header("tracestate");
  telemetry->body = request.body;
  return *telemetry;
}

}  // namespace

FaultyCloud::FaultyCloud(net::EventLoop& loop, std::uint64_t seed, std::size_t pipeline, Events events)
    : random_(seed), pipeline_(pipeline), events_(std::move(events)), server_(loop, http::ServerOptions{}, *this) {}

std::optional<http::Response> FaultyCloud::on_head(const http::Request&, const net::PeerCredentials&, std::size_t&) {
  return std::nullopt;
}

http::Response FaultyCloud::on_fault(int status, const std::string& reason) { return error(status, reason); }

void FaultyCloud::on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials&) {
  if (stopped_.contains(exchange.connection)) return;
  ++requests_;
  const Telemetry telemetry = telemetry_of(request);
  if (!events_.authorized(request)) {
    events_.refused(telemetry.message_id);
    return server_.respond(exchange, test::unauthorized_answer());
  }
  if (!misbehave(exchange, telemetry)) return take(exchange, telemetry);
  events_.refused(telemetry.message_id);
}

// Whatever is sent behind this request is not looked at, and what was answered just before may not arrive.
void FaultyCloud::stop_connection(http::ExchangeId exchange) {
  stopped_.insert(exchange.connection);
  if (pipeline_ == 1) return;
  for (const std::string& id : just_answered_[exchange.connection]) events_.answer_perhaps_lost(id);
}

void FaultyCloud::take(http::ExchangeId exchange, const Telemetry& telemetry) {
  if (missing_.contains(telemetry.twin)) {
    events_.refused(telemetry.message_id);
    events_.twin_missing(telemetry.message_id);
    return server_.respond(exchange, error(404, "DigitalTwinNotFound"));
  }
  if (telemetry.body.find("poison") != std::string::npos)
    return server_.respond(exchange, error(400, "ValidationFailed"));
  events_.taken(telemetry, false);
  auto& just_answered = just_answered_[exchange.connection];
  just_answered.push_back(telemetry.message_id);
  if (just_answered.size() > pipeline_) just_answered.pop_front();
  server_.respond(exchange, {.status = 204, .headers = {}, .body = ""});
}

// True where the request was dealt with.
bool FaultyCloud::misbehave(http::ExchangeId exchange, const Telemetry& telemetry) {
  const bool takes =
      !missing_.contains(telemetry.twin) && telemetry.body.find("poison") == std::string::npos && chance(50);
  switch (weather_) {
    case Weather::fair:
    case Weather::gone:  // connections made before it went still work for a while
      return false;
    case Weather::throttled: {
      if (chance(60)) return false;
      http::Response answer = error(429, "QuotaReachedError");
      answer.headers.add("Retry-After", std::to_string(std::uniform_int_distribution<int>(0, 90)(random_)));
      server_.respond(exchange, answer);
      return true;
    }
    case Weather::failing:
      if (chance(50)) return false;
      server_.respond(exchange, error(chance(30) ? 500 : chance(50) ? 502 : 503, "InternalError"));
      return true;
    case Weather::lossy:
      if (chance(60)) return false;
      if (takes) events_.taken(telemetry, true);
      stop_connection(exchange);
      if (chance(50)) {
        server_.abort(exchange);
      } else {
        server_.respond_raw(
            exchange, chance(50) ? "HTTP/1.1 204 No Con" : "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", true);
      }
      return true;
    case Weather::silent:
      if (chance(70)) return false;
      if (takes) events_.taken(telemetry, true);
      stop_connection(exchange);
      return true;
    case Weather::unauthorized:
      server_.respond(exchange, test::unauthorized_answer());
      return true;
    case Weather::captive:
      if (chance(40)) {
        server_.respond(exchange,
                        {.status = 200, .headers = {{"Content-Type", "text/html"}}, .body = "<html>Welcome</html>"});
      } else if (chance(50)) {
        server_.respond(exchange, {.status = 302, .headers = {{"Location", "http://portal.invalid/"}}, .body = ""});
      } else {
        server_.respond(exchange, {.status = 403, .headers = {}, .body = ""});
      }
      return true;
  }
  return false;
}

}  // namespace twinspool::sim
