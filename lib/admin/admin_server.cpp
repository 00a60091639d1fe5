#include "admin/admin_server.h"

#include "admin/answers.h"
#include "admin/guard.h"
#include "admin/metrics.h"
#include "admin/page.h"
#include "config/loopback.h"
#include "util/json.h"
#include "util/log.h"

namespace twinspool::admin {
namespace {

constexpr std::size_t kBodyBytesMax = 4 * 1024;
constexpr std::uint32_t kByTcp = 1;  // PeerCredentials::listener

http::ServerOptions server_options() {
  http::ServerOptions options;
  options.limits.body_bytes_max = kBodyBytesMax;
  options.connections_max = 64;
  options.length_required = false;  // `curl -X POST` sends none where there is no body
  return options;
}

http::Response health(bool good, const std::string& why) {
  json::Writer out;
  out.begin_object().key("status").string(good ? "ok" : "unavailable");
  if (!why.empty()) out.key("why").string(why);
  out.end_object();
  return json_response(good ? 200 : 503, out.take());
}

}  // namespace

Result<std::unique_ptr<AdminServer>> AdminServer::listen(net::EventLoop& loop, const AdminConfig& config,
                                                         net::InheritedSockets& inherited, Gather gather) {
  std::unique_ptr<AdminServer> admin(new AdminServer(loop, std::move(gather)));
  auto listener =
      net::Listener::open_unix(loop, {.path = config.path, .mode = config.mode, .group = config.group}, inherited,
                               [server = admin.get()](std::unique_ptr<net::Stream> stream, net::PeerCredentials peer) {
                                 server->add(std::move(stream), peer);
                               });
  if (!listener) return tl::unexpected(listener.error());
  admin->server_.adopt(std::move(*listener));
  if (!config.http.empty()) {
    if (Result<void> listening = admin->listen_tcp(loop, config.http); !listening)
      return tl::unexpected(listening.error());
  }
  return admin;
}

Result<void> AdminServer::listen_tcp(net::EventLoop& loop, const std::string& address) {
  const auto loopback = parse_loopback(address);
  ENSURE(loopback);  // the configuration is checked
  auto listener = net::Listener::listen_tcp(loop, loopback->ip, loopback->port,
                                            [this](std::unique_ptr<net::Stream> stream, net::PeerCredentials peer) {
                                              peer.listener = kByTcp;
                                              add(std::move(stream), peer);
                                            });
  if (!listener) return fail(listener.error().code, "admin.http: " + listener.error().what);
  http_port_ = (*listener)->port();
  log::info("admin.listening", {{"address", loopback->ip}, {"port", http_port_}});
  server_.adopt(std::move(*listener));
  return {};
}

AdminServer::AdminServer(net::EventLoop& loop, Gather gather)
    : gather_(std::move(gather)), server_(loop, server_options(), *this) {
  route("GET", "/health/live", [](const http::Request&, const Respond& respond) { respond(health(true, "")); });
  route("GET", "/health/ready", [this](const http::Request&, const Respond& respond) {
    const Facts facts = gather_();  // also after a recovery, which the state says until somebody acknowledges
    respond(health(facts.spool.fault.empty(), condition_of(facts).why));
  });
  route("GET", "/status", [this](const http::Request&, const Respond& respond) {
    const Facts facts = gather_();
    respond(json_response(200, status_json(facts, condition_of(facts))));
  });
  route("GET", "/metrics", [this](const http::Request&, const Respond& respond) {
    respond({.status = 200, .headers = {{"Content-Type", kMetricsType}}, .body = metrics_text(gather_())});
  });
  for (const Door door : {Door::socket, Door::tcp})
    route(
        "GET", "/", [door](const http::Request&, const Respond& respond) { respond(page(door)); }, door);
}

AdminServer::~AdminServer() = default;

void AdminServer::add(std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer) {
  server_.add(std::move(stream), peer);
}

std::optional<http::Response> AdminServer::on_head(const http::Request&, const net::PeerCredentials&,
                                                   std::size_t& body_bytes_max) {
  body_bytes_max = kBodyBytesMax;
  return std::nullopt;
}

void AdminServer::route(std::string method, std::string path, Handler handler, std::optional<Door> only) {
  routes_.push_back({std::move(method), std::move(path), std::move(handler), only});
}

void AdminServer::on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer) {
  const Door door = peer.listener == kByTcp ? Door::tcp : Door::socket;
  if (auto refused = why_refused(request, door)) return respond(exchange, std::move(*refused));
  http::Response refusal;
  const Route* route = find(request, door, refusal);
  if (route == nullptr) return respond(exchange, std::move(refusal));
  route->handler(request, [this, exchange, alive = std::weak_ptr<Alive>(alive_)](http::Response response) {
    if (!alive.expired()) respond(exchange, std::move(response));
  });
}

// For browsers: an answer is never a script or a frame of another page, and never kept.
void AdminServer::respond(http::ExchangeId exchange, http::Response response) {
  response.headers.add("X-Content-Type-Options", "nosniff");
  response.headers.add("Cross-Origin-Resource-Policy", "same-origin");
  response.headers.add("Cache-Control", "no-store");
  server_.respond(exchange, response);
}

http::Response AdminServer::on_fault(int status, const std::string& reason) {
  return error_response(status, "BadRequest", reason);
}

const AdminServer::Route* AdminServer::find(const http::Request& request, Door door, http::Response& refusal) const {
  const std::string path = request.target.substr(0, request.target.find('?'));
  std::string allowed;
  const auto has = [door](const Route& route) { return !route.only || *route.only == door; };
  for (const Route& route : routes_) {
    if (route.path != path || !has(route)) continue;
    if (route.method == request.method) return &route;
    allowed += (allowed.empty() ? "" : ", ") + route.method;
  }
  if (!allowed.empty()) {
    refusal = error_response(405, "MethodNotAllowed", path + " takes " + allowed);
    refusal.headers.add("Allow", allowed);
    return nullptr;
  }
  std::string there_are;
  for (const Route& route : routes_)
    if (has(route)) there_are += (there_are.empty() ? "" : ", ") + route.method + " " + route.path;
  refusal = error_response(404, "NotFound", "there is no " + path + "; there are " + there_are);
  return nullptr;
}

}  // namespace twinspool::admin
