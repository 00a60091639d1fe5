#include "ingest/ingest_server.h"

#include <utility>

#include "ingest/telemetry_api.h"
#include "util/log.h"

namespace twinspool::ingest {
namespace {

http::ServerOptions server_options(const IngestConfig& config) {
  http::ServerOptions options;
  options.limits.body_bytes_max = kTelemetryBodyBytesMax;
  options.connections_max = config.connections_max;
  options.idle_timeout = config.idle_timeout;
  options.request_timeout = config.request_timeout;
  return options;
}

ApiError stopping() {
  return to_api_error(
      {.why = Refusal::shutting_down, .what = "twinspool is stopping, send it again", .retry_after = {}});
}

}  // namespace

IngestServer::IngestServer(net::EventLoop& loop, const IngestConfig& config, Spool& spool)
    : config_(config), spool_(spool), server_(loop, server_options(config), *this) {}

IngestServer::~IngestServer() = default;

Result<std::unique_ptr<IngestServer>> IngestServer::listen(net::EventLoop& loop,
                                                           const std::vector<ListenConfig>& sockets,
                                                           const IngestConfig& config, Spool& spool) {
  auto server = std::make_unique<IngestServer>(loop, config, spool);
  for (const ListenConfig& socket : sockets) {
    auto listener = net::Listener::listen_unix(
        loop, {.path = socket.path, .mode = socket.mode, .group = socket.group},
        [owner = server.get()](std::unique_ptr<net::Stream> stream, net::PeerCredentials peer) {
          owner->add(std::move(stream), peer);
        });
    if (!listener) return tl::unexpected(listener.error());
    server->adopt(std::move(*listener));
    log::info("ingest.listening", {{"path", socket.path}});
  }
  return server;
}

void IngestServer::adopt(std::unique_ptr<net::Listener> listener) { server_.adopt(std::move(listener)); }

void IngestServer::add(std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer) {
  server_.add(std::move(stream), peer);
}

void IngestServer::reconfigure(const IngestConfig& config) { config_ = config; }

void IngestServer::drain(std::function<void()> done) {
  draining_ = true;
  server_.drain(std::move(done));
}

IngestServer::Stats IngestServer::stats() const {
  Stats stats = stats_;
  stats.connections = server_.connections();
  return stats;
}

std::optional<http::Response> IngestServer::on_head(const http::Request& head, const net::PeerCredentials&,
                                                    std::size_t& body_bytes_max) {
  body_bytes_max = kTelemetryBodyBytesMax;
  if (draining_) return refusal(stopping());
  if (const auto error = check_head(head, config_)) return refusal(*error);
  return std::nullopt;
}

void IngestServer::on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials&) {
  if (draining_) return server_.respond(exchange, refusal(stopping()));
  auto accepted = read_telemetry(std::move(request), config_, wall_now());
  if (!accepted) return server_.respond(exchange, refusal(accepted.error()));
  if (accepted->source_time_not_rfc3339) ++stats_.source_times_not_rfc3339;
  append(exchange, std::move(accepted->telemetry));
}

http::Response IngestServer::on_fault(int status, const std::string& reason) {
  ApiError error = fault_error(status, reason);
  if (status == 413) error.message += "; the limit is " + std::to_string(kTelemetryBodyBytesMax) + " bytes";
  return refusal(error);
}

void IngestServer::append(http::ExchangeId exchange, Telemetry telemetry) {
  const std::size_t body_bytes = telemetry.body.size();
  spool_.append(std::move(telemetry), [this, alive = std::weak_ptr<Alive>(alive_), exchange,
                                       body_bytes](const tl::expected<Receipt, Refused>& result) {
    if (!alive.expired()) on_appended(exchange, body_bytes, result);
  });
}

void IngestServer::on_appended(http::ExchangeId exchange, std::size_t body_bytes,
                               const tl::expected<Receipt, Refused>& result) {
  if (!result) return server_.respond(exchange, refusal(to_api_error(result.error())));
  http::Response response{.status = 204, .headers = {}, .body = {}};
  response.headers.add("Twinspool-Sequence", std::to_string(result->sequence));
  if (result->duplicate) {
    response.headers.add("Twinspool-Duplicate", "true");
  } else {
    stats_.accepted_bytes += body_bytes;
  }
  ++stats_.answers[response.status];
  server_.respond(exchange, response);
}

http::Response IngestServer::refusal(const ApiError& error) {
  ++stats_.answers[error.status];
  return error_response(error);
}

}  // namespace twinspool::ingest
