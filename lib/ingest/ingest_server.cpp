#include "ingest/ingest_server.h"

#include <utility>

#include "ingest/telemetry_api.h"
#include "ingest/telemetry_batch.h"
#include "ingest/telemetry_target.h"

namespace twinspool::ingest {
namespace {

constexpr std::size_t kBatchesUnderWayMax = 4;  // of the largest, of all connections together; 503 above

http::ServerOptions server_options(const IngestConfig& config) {
  http::ServerOptions options;
  options.limits.body_bytes_max = kTelemetryBodyBytesMax;
  options.connections_max = config.connections_max;
  options.idle_timeout = config.idle_timeout;
  options.request_timeout = config.request_timeout;
  options.large_bodies_bytes_max = static_cast<std::size_t>(kBatchesUnderWayMax * config.batch_max);
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
                                                           const IngestConfig& config, Spool& spool,
                                                           net::InheritedSockets& inherited) {
  auto server = std::make_unique<IngestServer>(loop, config, spool);
  for (const ListenConfig& socket : sockets) {
    Result<Access> access = Access::of(socket);
    if (!access) return tl::unexpected(access.error());
    const auto number = static_cast<std::uint32_t>(server->access_.size());
    server->access_.push_back(std::move(*access));
    auto listener = net::Listener::open_unix(
        loop, {.path = socket.path, .mode = socket.mode, .group = socket.group}, inherited,
        [owner = server.get(), number](std::unique_ptr<net::Stream> stream, net::PeerCredentials peer) {
          peer.listener = number;
          owner->add(std::move(stream), peer);
        });
    if (!listener) return tl::unexpected(listener.error());
    server->server_.adopt(std::move(*listener));
  }
  return server;
}

std::vector<SourceConfig> IngestServer::sources_of(const std::vector<ListenConfig>& sockets) {
  std::vector<SourceConfig> sources;
  for (const ListenConfig& socket : sockets) sources.push_back({socket.path, socket.quota});
  return sources;
}

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

std::optional<ApiError> IngestServer::why_refused(const http::Request& head, const net::PeerCredentials& peer) const {
  if (draining_) return stopping();
  const Access& access = access_.at(peer.listener);
  Checked allowed = access.check_peer(peer);
  if (!allowed) return std::move(allowed.error());
  if (is_batch_target(head.target)) return check_batch_head(head, config_);
  if (auto error = check_head(head, config_)) return error;
  if (access.every_twin()) return std::nullopt;
  allowed = access.check_twin(parse_telemetry_target(head.target)->twin);
  if (!allowed) return std::move(allowed.error());
  return std::nullopt;
}

std::optional<http::Response> IngestServer::on_head(const http::Request& head, const net::PeerCredentials& peer,
                                                    std::size_t& body_bytes_max) {
  body_bytes_max = is_batch_target(head.target) ? static_cast<std::size_t>(config_.batch_max) : kTelemetryBodyBytesMax;
  if (const auto error = why_refused(head, peer)) return refusal(*error);
  return std::nullopt;
}

void IngestServer::on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer) {
  if (draining_) return server_.respond(exchange, refusal(stopping()));
  if (is_batch_target(request.target)) return take_batch(exchange, std::move(request), peer);
  take_message(exchange, std::move(request), peer.listener);
}

http::Response IngestServer::on_fault(int status, const std::string& reason) {
  return refusal(fault_error(status, reason));
}

void IngestServer::take_message(http::ExchangeId exchange, http::Request&& request, Source source) {
  auto accepted = read_telemetry(std::move(request), config_, wall_now());
  if (!accepted) return server_.respond(exchange, refusal(accepted.error()));
  if (accepted->source_time_not_rfc3339) ++stats_.source_times_not_rfc3339;
  const std::size_t body_bytes = accepted->telemetry.body.size();
  spool_.append(
      source, std::move(accepted->telemetry),
      [this, alive = std::weak_ptr<Alive>(alive_), exchange, body_bytes](const tl::expected<Receipt, Refused>& result) {
        if (!alive.expired()) on_appended(exchange, body_bytes, result);
      });
}

void IngestServer::take_batch(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer) {
  auto accepted = read_batch(std::move(request), config_, access_.at(peer.listener), wall_now());
  if (!accepted) return server_.respond(exchange, refusal(accepted.error()));
  stats_.source_times_not_rfc3339 += accepted->source_times_not_rfc3339;
  std::vector<std::size_t> body_bytes;
  for (const Telemetry& telemetry : accepted->messages) body_bytes.push_back(telemetry.body.size());
  spool_.append_batch(peer.listener, std::move(accepted->messages),
                      [this, alive = std::weak_ptr<Alive>(alive_), exchange, body_bytes = std::move(body_bytes),
                       lines = std::move(accepted->lines)](const tl::expected<std::vector<Receipt>, Refused>& result) {
                        if (alive.expired()) return;
                        if (!result)
                          return server_.respond(exchange,
                                                 refusal(batch_refused(with_forecast(result.error()), lines)));
                        on_batch_appended(exchange, body_bytes, *result);
                      });
}

void IngestServer::on_batch_appended(http::ExchangeId exchange, const std::vector<std::size_t>& body_bytes,
                                     const std::vector<Receipt>& receipts) {
  std::size_t duplicates = 0;
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    if (receipts[i].duplicate) {
      ++duplicates;
    } else {
      stats_.accepted_bytes += body_bytes[i];
    }
  }
  http::Response response{.status = 204, .headers = {}, .body = {}};
  response.headers.add("Twinspool-Accepted", std::to_string(receipts.size() - duplicates));
  response.headers.add("Twinspool-Duplicates", std::to_string(duplicates));
  ++stats_.answers[response.status];
  server_.respond(exchange, response);
}

void IngestServer::on_appended(http::ExchangeId exchange, std::size_t body_bytes,
                               const tl::expected<Receipt, Refused>& result) {
  if (!result) return server_.respond(exchange, refusal(to_api_error(with_forecast(result.error()))));
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

Refused IngestServer::with_forecast(Refused refused) const {
  const bool for_want_of_space = refused.why == Refusal::queue_full || refused.why == Refusal::disk_full;
  if (for_want_of_space && retry_when_full_) refused.retry_after = retry_when_full_();
  return refused;
}

http::Response IngestServer::refusal(const ApiError& error) {
  ++stats_.answers[error.status];
  return error_response(error);
}

}  // namespace twinspool::ingest
