// The operators' HTTP API on the admin socket:
//   GET /health/live    200 while the loop turns
//   GET /health/ready   200 while the store takes messages, else 503 and why
//   GET /status         the daemon's state and figures (JSON)
//
// Loop thread. Asks for its facts at each request, keeps none.
#pragma once

#include <functional>
#include <memory>

#include "admin/status.h"
#include "config/config.h"
#include "http/server.h"
#include "net/event_loop.h"

namespace twinspool::admin {

class AdminServer final : private http::Server::Handler {
 public:
  using Gather = std::function<Facts()>;

  // Errc::busy where another daemon answers on the socket, Errc::invalid for its path, mode or group.
  static Result<std::unique_ptr<AdminServer>> listen(net::EventLoop& loop, const AdminConfig& config, Gather gather);
  ~AdminServer();

 private:
  AdminServer(net::EventLoop& loop, Gather gather);
  std::optional<http::Response> on_head(const http::Request& head, const net::PeerCredentials& peer,
                                        std::size_t& body_bytes_max) override;
  void on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer) override;
  http::Response on_fault(int status, const std::string& reason) override;
  http::Response answer(const http::Request& request);

  Gather gather_;
  http::Server server_;  // last: its connections call the handler
};

}  // namespace twinspool::admin
