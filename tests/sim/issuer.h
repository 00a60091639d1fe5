// The token endpoint of the simulation: the stand-in's issuer behind a server, faulty as its weather says.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>

#include "http/server.h"
#include "net/event_loop.h"
#include "support/standin_issuer.h"

namespace twinspool::sim {

class Issuer final : private http::Server::Handler {
 public:
  Issuer(net::EventLoop& loop, std::function<WallTime()> wall_clock);

  void accept(std::unique_ptr<net::Stream> stream) { server_.add(std::move(stream), {}); }
  void change_weather(std::mt19937_64& random);
  void fair_weather() { issuer_.clear_faults(); }
  void revoke() { issuer_.revoke(); }

  bool authorized(const http::Request& request) const;
  std::uint64_t requests() const { return issuer_.requests(); }
  const test::IssuerSettings& settings() const { return issuer_.settings; }

 private:
  std::optional<http::Response> on_head(const http::Request& head, const net::PeerCredentials& peer,
                                        std::size_t& body_bytes_max) override;
  void on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer) override;
  http::Response on_fault(int status, const std::string& reason) override;

  net::EventLoop& loop_;
  const std::function<WallTime()> wall_clock_;
  test::StandInIssuer issuer_;
  http::Server server_;
};

}  // namespace twinspool::sim
