#include "admin/admin_server.h"

#include "util/json.h"

namespace twinspool::admin {
namespace {

constexpr std::size_t kBodyBytesMax = 4 * 1024;

http::ServerOptions server_options() {
  http::ServerOptions options;
  options.limits.body_bytes_max = kBodyBytesMax;
  options.connections_max = 64;
  options.length_required = false;  // `curl -X POST` sends none where there is no body
  return options;
}

http::Response json_response(int status, std::string body) {
  return {.status = status, .headers = {{"Content-Type", "application/json; charset=utf-8"}}, .body = std::move(body)};
}

http::Response error_response(int status, std::string_view code, std::string_view message) {
  json::Writer out;
  out.begin_object().key("error").begin_object();
  out.key("code").string(code).key("message").string(message);
  out.end_object().end_object();
  return json_response(status, out.take());
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
                                                         Gather gather) {
  std::unique_ptr<AdminServer> admin(new AdminServer(loop, std::move(gather)));
  auto listener = net::Listener::listen_unix(
      loop, {.path = config.path, .mode = config.mode, .group = config.group},
      [server = &admin->server_](std::unique_ptr<net::Stream> stream, net::PeerCredentials peer) {
        server->add(std::move(stream), peer);
      });
  if (!listener) return tl::unexpected(listener.error());
  admin->server_.adopt(std::move(*listener));
  return admin;
}

AdminServer::AdminServer(net::EventLoop& loop, Gather gather)
    : gather_(std::move(gather)), server_(loop, server_options(), *this) {}

AdminServer::~AdminServer() = default;

std::optional<http::Response> AdminServer::on_head(const http::Request&, const net::PeerCredentials&,
                                                   std::size_t& body_bytes_max) {
  body_bytes_max = kBodyBytesMax;
  return std::nullopt;
}

void AdminServer::on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials&) {
  server_.respond(exchange, answer(request));
}

http::Response AdminServer::on_fault(int status, const std::string& reason) {
  return error_response(status, "BadRequest", reason);
}

http::Response AdminServer::answer(const http::Request& request) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  const bool known = path == "/status" || path == "/health/live" || path == "/health/ready";
  if (!known) return error_response(404, "NotFound", "there is GET /status, /health/live and /health/ready");
  if (request.method != "GET") {
    http::Response refusal = error_response(405, "MethodNotAllowed", path + " takes GET");
    refusal.headers.add("Allow", "GET");
    return refusal;
  }
  if (path == "/health/live") return health(true, "");

  const Facts facts = gather_();
  const Condition condition = condition_of(facts);
  if (path == "/health/ready") return health(condition.state != State::degraded, condition.why);
  return json_response(200, status_json(facts, condition));
}

}  // namespace twinspool::admin
