// Dialer over the network: look-up → TCP to whichever address answers first → the proxy's CONNECT, where
// forward.proxy is set and forward.no_proxy does not say otherwise → TLS, under one deadline. To the cloud, to the
// token endpoint, or without TLS and proxy to the managed-identity endpoint of this machine.
//
// Through a proxy the addresses are the proxy's, and the proxy looks the host up.
//
// The addresses are tried in the resolver's order. The next one is begun when the one before failed or has not answered
// for kNextAddressAfter, or for less where so many would not all have their turn before the deadline. The first
// connection that stands is taken: an address from which nothing comes back, as that of a broken IPv6 route, does not
// use up the deadline, dial after dial. After a handshake or a whole dial that failed, the next dial begins with
// another address.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/proxy.h"
#include "forward/dialer.h"
#include "net/event_loop.h"
#include "tls/engine.h"

namespace twinspool::forward {

constexpr Duration kNextAddressAfter = std::chrono::seconds(1);

// How far a dial came, and where it led: for tools that tell its steps apart.
struct DialProgress {
  enum class Step : std::uint8_t { look_up, connect, tunnel, handshake, done };
  Step step = Step::look_up;
  std::vector<net::Address> addresses;  // of the first hop
};

class NetworkDialer final : public Dialer {
 public:
  using LookUp =
      std::function<std::unique_ptr<net::Pending>(net::EventLoop& loop, const std::string& host, std::uint16_t port,
                                                  std::function<void(Result<std::vector<net::Address>>)> done)>;

  // To forward.endpoint. Errc::invalid for a bad endpoint or TLS files that cannot be used. `loop` outlives the dialer;
  // a test has a look-up of its own.
  static Result<std::unique_ptr<NetworkDialer>> create(net::EventLoop& loop, const ForwardConfig& config,
                                                       LookUp look_up = net::look_up);

  // To anywhere, with the deadline and the TLS files of `config`, whose endpoint and server_name do not matter here.
  static Result<std::unique_ptr<NetworkDialer>> create(net::EventLoop& loop, DialTarget target,
                                                       const ForwardConfig& config, LookUp look_up = net::look_up);

  // Errc::unreachable, Errc::tls, Errc::closed, Errc::timeout, or Errc::refused where the proxy refuses: naming the
  // host or the proxy, the step and what to look at. The dialer outlives the Pending.
  std::unique_ptr<net::Pending> dial(Dialed done) override;

  const DialProgress& progress() const { return progress_; }       // of the newest dial
  const std::optional<ProxyUrl>& proxy() const { return proxy_; }  // nullopt: none on the way to this target

 private:
  class Attempt;
  NetworkDialer(net::EventLoop& loop, DialTarget target, std::optional<ProxyUrl> proxy,
                std::optional<tls::Context> context, Duration connect_timeout, LookUp look_up);

  net::EventLoop& loop_;
  const DialTarget target_;
  const std::optional<ProxyUrl> proxy_;  // nullopt: none on the way to this target
  std::optional<tls::Context> context_;  // nullopt: plain
  const Duration connect_timeout_;
  const LookUp look_up_;
  std::size_t bad_dials_ = 0;
  DialProgress progress_;
};

}  // namespace twinspool::forward
