// The operators' HTTP API on the admin socket, and for reading on admin.http (guard.h says who is refused):
//   GET /health/live    200 while the loop turns
//   GET /health/ready   200 while the store takes messages, else 503 and why
//   GET /status         the daemon's state and figures (JSON)
//   GET /metrics        the same for Prometheus
//   GET /               the page, which draws what the others say
// and what route() adds: the daemon wires each route to the component that carries it out.
//
// Loop thread. Asks for its facts at each request, keeps none.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/guard.h"
#include "admin/status.h"
#include "config/config.h"
#include "http/server.h"
#include "net/event_loop.h"

namespace twinspool::admin {

class AdminServer final : private http::Server::Handler {
 public:
  using Gather = std::function<Facts()>;
  // Answers a request, once, at once or later on the loop thread; an answer after the server's end is dropped.
  using Respond = std::function<void(http::Response)>;
  using Handler = std::function<void(const http::Request& request, Respond respond)>;

  // On the inherited socket, if there is one, and by TCP where config.http says so. Errc::busy where another daemon
  // answers on one of them, Errc::invalid for the socket's path, mode or group.
  static Result<std::unique_ptr<AdminServer>> listen(net::EventLoop& loop, const AdminConfig& config,
                                                     net::InheritedSockets& inherited, Gather gather);
  ~AdminServer();

  // `path` without its query. Another method on it is answered 405, an unknown path 404 with the list of those there
  // are.
  void route(std::string method, std::string path, Handler handler, std::optional<Door> only = {});

  // A connection that was accepted elsewhere; `peer.listener` as for one of our own: 0 is the socket.
  void add(std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer);

  std::uint16_t http_port() const { return http_port_; }  // 0: there is no admin.http

 private:
  struct Route {
    std::string method;
    std::string path;
    Handler handler;
    std::optional<Door> only;  // nullopt: of both
  };
  struct Alive {};
  AdminServer(net::EventLoop& loop, Gather gather);
  std::optional<http::Response> on_head(const http::Request& head, const net::PeerCredentials& peer,
                                        std::size_t& body_bytes_max) override;
  void on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer) override;
  http::Response on_fault(int status, const std::string& reason) override;
  const Route* find(const http::Request& request, Door door, http::Response& refusal) const;

  Result<void> listen_tcp(net::EventLoop& loop, const std::string& address);
  void respond(http::ExchangeId exchange, http::Response response);

  Gather gather_;
  std::vector<Route> routes_;
  std::uint16_t http_port_ = 0;
  std::shared_ptr<Alive> alive_ = std::make_shared<Alive>();
  http::Server server_;  // last: its connections call the handler
};

}  // namespace twinspool::admin
