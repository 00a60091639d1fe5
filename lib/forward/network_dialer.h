// Dialer over the network: look-up → TCP to whichever address answers first → TLS, under one deadline.
//
// The addresses are tried in the resolver's order. The next one is begun when the one before failed or has not answered
// for kNextAddressAfter, and the first connection that stands is taken: an address from which nothing comes back, as
// that of a broken IPv6 route, does not use up the deadline, dial after dial. After a handshake that failed, the next
// dial begins with another address.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "forward/dialer.h"
#include "forward/endpoint_url.h"
#include "net/event_loop.h"
#include "tls/engine.h"

namespace twinspool::forward {

constexpr Duration kNextAddressAfter = std::chrono::seconds(1);

class NetworkDialer final : public Dialer {
 public:
  using LookUp =
      std::function<std::unique_ptr<net::Pending>(net::EventLoop& loop, const std::string& host, std::uint16_t port,
                                                  std::function<void(Result<std::vector<net::Address>>)> done)>;

  // Errc::invalid for a bad endpoint or TLS files that cannot be used. `loop` outlives the dialer; a test has a look-up
  // of its own.
  static Result<std::unique_ptr<NetworkDialer>> create(net::EventLoop& loop, const ForwardConfig& config,
                                                       LookUp look_up = net::look_up);

  // Errc::unreachable, Errc::tls, Errc::closed or Errc::timeout, naming the host, the step and what to look at. The
  // dialer outlives the Pending.
  std::unique_ptr<net::Pending> dial(Dialed done) override;

 private:
  class Attempt;
  NetworkDialer(net::EventLoop& loop, EndpointUrl endpoint, std::string server_name, tls::Context context,
                Duration connect_timeout, LookUp look_up);

  net::EventLoop& loop_;
  const EndpointUrl endpoint_;
  const std::string server_name_;
  tls::Context context_;
  const Duration connect_timeout_;
  const LookUp look_up_;
  std::size_t bad_handshakes_ = 0;
};

}  // namespace twinspool::forward
