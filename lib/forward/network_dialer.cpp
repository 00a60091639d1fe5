#include "forward/network_dialer.h"

#include <algorithm>
#include <utility>

#include "forward/endpoint_url.h"
#include "forward/proxy_tunnel.h"
#include "tls/tls_stream.h"
#include "util/secret_file.h"

namespace twinspool::forward {

namespace {

Result<tls::Context> tls_context(const TlsConfig& config) {
  if (config.min_version != "1.2" && config.min_version != "1.3") {
    return fail(Errc::invalid, "tls.min_version '" + config.min_version + "': accepted are 1.2 and 1.3");
  }
  if (!config.key_file.empty()) {  // OpenSSL reads it whatever its mode
    constexpr std::size_t kKeyBytesMax = 64 * 1024;
    const auto key = read_secret_file("forward.tls.key_file", config.key_file, kKeyBytesMax);
    if (!key) return tl::unexpected<Error>(key.error());
  }
  return tls::Context::client({
      .ca_file = config.ca_file,
      .cert_file = config.cert_file,
      .key_file = config.key_file,
      .min_version = config.min_version == "1.3" ? tls::Version::tls13 : tls::Version::tls12,
  });
}

Result<std::optional<ProxyUrl>> proxy_for(const DialTarget& target, const ForwardConfig& config) {
  const bool direct = target.transport == DialTarget::Transport::plain || bypasses_proxy(config.no_proxy, target.host);
  if (config.proxy.empty() || direct) return std::optional<ProxyUrl>();
  auto proxy = parse_proxy(config.proxy);
  if (!proxy) return fail(Errc::invalid, "forward.proxy: " + proxy.error().what);
  return std::optional<ProxyUrl>(std::move(*proxy));
}

}  // namespace

// One dial: look-up of the first hop (the proxy, where there is one), then its addresses side by side, then the proxy's
// CONNECT, then TLS. It may be destroyed from inside `done`.
class NetworkDialer::Attempt final : public net::Pending {
 public:
  Attempt(NetworkDialer& dialer, Dialed done)
      : dialer_(dialer),
        done_(std::move(done)),
        deadline_(dialer.loop_.timers(), [this] { on_deadline(); }),
        next_address_at_(dialer.loop_.timers(), [this] { connect_next(); }) {
    deadline_.set_after(dialer_.connect_timeout_);
    dialer_.progress_ = {};
    step_ = dialer_.look_up_(dialer_.loop_, hop_host(), proxy() ? proxy()->port : dialer_.target_.port,
                             [this](Result<std::vector<net::Address>> found) { on_found(std::move(found)); });
  }

 private:
  using Step = DialProgress::Step;

  void on_found(Result<std::vector<net::Address>> found) {
    retire(std::move(step_));
    if (found && found->empty()) found = fail(Errc::unreachable, "cannot look up '" + hop_host() + "': no address");
    if (!found) return end(advised(std::move(found.error()), "check " + hop_key() + " and this gateway's DNS"));
    go_on(Step::connect);
    addresses_ = std::move(*found);
    dialer_.progress_.addresses = addresses_;
    const auto first = static_cast<std::ptrdiff_t>(dialer_.bad_dials_ % addresses_.size());
    std::rotate(addresses_.begin(), addresses_.begin() + first, addresses_.end());
    connect_next();
  }

  void go_on(Step step) {
    doing_ = step;
    dialer_.progress_.step = step;
  }

  void connect_next() {
    const std::size_t index = connecting_.size();
    if (index == addresses_.size()) return;
    ++under_way_;
    connecting_.push_back(net::connect_tcp(
        dialer_.loop_, addresses_[index],
        [this, index](Result<std::unique_ptr<net::Stream>> connected) { on_connected(index, std::move(connected)); }));
    if (connecting_.size() < addresses_.size()) next_address_at_.set_after(patience());
  }

  // So that each address has its turn before the deadline.
  Duration patience() const {
    return std::min(kNextAddressAfter, dialer_.connect_timeout_ / static_cast<int>(addresses_.size() + 1));
  }

  void on_connected(std::size_t index, Result<std::unique_ptr<net::Stream>> connected) {
    retire(std::move(connecting_[index]));
    --under_way_;
    if (connected) return on_transport(std::move(*connected));
    failures_ += (failures_.empty() ? "" : "; ") + connected.error().what;
    if (connecting_.size() < addresses_.size()) return connect_next();
    if (under_way_ > 0) return;
    connected.error().what = "cannot reach " + hop() + ": " + failures_;
    end(advised(std::move(connected.error()), path_advice()));
  }

  void on_transport(std::unique_ptr<net::Stream> transport) {
    next_address_at_.cancel();
    connecting_.clear();  // the one that called was retired
    if (!dialer_.context_) return end(std::move(transport));
    if (proxy()) return ask_proxy(std::move(transport));
    shake_hands(std::move(transport));
  }

  void ask_proxy(std::unique_ptr<net::Stream> transport) {
    go_on(Step::tunnel);
    step_ = open_tunnel(dialer_.loop_, std::move(transport), *proxy(), target_authority(),
                        [this](Result<std::unique_ptr<net::Stream>> tunnel) {
                          retire(std::move(step_));
                          if (tunnel) return shake_hands(std::move(*tunnel));
                          ++dialer_.bad_dials_;
                          end(std::move(tunnel));
                        });
  }

  void shake_hands(std::unique_ptr<net::Stream> transport) {
    go_on(Step::handshake);
    step_ = tls::connect_tls(dialer_.loop_, std::move(transport), *dialer_.context_, dialer_.target_.server_name,
                             [this](Result<std::unique_ptr<net::Stream>> encrypted) {
                               retire(std::move(step_));
                               if (encrypted) return end(std::move(encrypted));
                               ++dialer_.bad_dials_;
                               end(handshake_failure(std::move(encrypted.error())));
                             });
  }

  tl::unexpected<Error> handshake_failure(Error error) const {
    if (error.code == Errc::tls) {
      error.what += through_proxy();
      return tl::unexpected<Error>(std::move(error));
    }
    error.what = "the TLS handshake with " + host() + through_proxy() + " failed: " + error.what;
    return advised(std::move(error), path_advice());
  }

  void on_deadline() {
    step_.reset();
    connecting_.clear();
    next_address_at_.cancel();
    const std::string late = " took longer than " + to_human(dialer_.connect_timeout_);
    switch (doing_) {
      case Step::look_up:
        return end(advised({Errc::timeout, "the look-up of '" + hop_host() + "'" + late}, "check this gateway's DNS"));
      case Step::connect:
        ++dialer_.bad_dials_;
        return end(advised({Errc::timeout, "connecting to " + hop() + " (" + tried() + ")" + late}, path_advice()));
      case Step::tunnel:
        ++dialer_.bad_dials_;
        return end(advised(
            {Errc::timeout, "the answer of the proxy " + proxy()->shown() + " to CONNECT " + target_authority() + late},
            "check that it is an HTTP proxy and that it reaches that host"));
      case Step::handshake:
      case Step::done:
        ++dialer_.bad_dials_;
        return end(
            advised({Errc::timeout, "the TLS handshake with " + host() + through_proxy() + late}, path_advice()));
    }
  }

  std::string tried() const {
    std::string text;
    for (const net::Address& address : addresses_) text += (text.empty() ? "" : ", ") + address.text();
    return text;
  }

  const std::optional<ProxyUrl>& proxy() const { return dialer_.proxy_; }
  const std::string& host() const { return dialer_.target_.host; }
  const std::string& hop_host() const { return proxy() ? proxy()->host : host(); }
  std::string hop() const { return proxy() ? "the proxy " + proxy()->shown() : host(); }
  std::string hop_key() const { return proxy() ? "forward.proxy" : dialer_.target_.key; }
  std::string through_proxy() const { return proxy() ? " (through the proxy " + proxy()->shown() + ")" : ""; }

  std::string target_authority() const {
    const bool ipv6 = host().find(':') != std::string::npos;
    return (ipv6 ? "[" + host() + "]" : host()) + ":" + std::to_string(dialer_.target_.port);
  }

  static tl::unexpected<Error> advised(Error error, const std::string& advice) {
    error.what += "; " + advice;
    return tl::unexpected<Error>(std::move(error));
  }

  // From a step's own callback: it is done, but still on the call stack.
  void retire(std::unique_ptr<net::Pending> step) { dialer_.loop_.retire(std::move(step)); }

  void end(Result<std::unique_ptr<net::Stream>> result) {
    deadline_.cancel();
    if (result) dialer_.progress_.step = Step::done;
    const Dialed done = std::move(done_);
    done(std::move(result));  // last: it may end this object
  }

  std::string path_advice() const {
    return "check the host and port of " + hop_key() + ", and the firewalls on the way";
  }

  NetworkDialer& dialer_;
  Dialed done_;
  Step doing_ = Step::look_up;
  std::vector<net::Address> addresses_;
  std::size_t under_way_ = 0;  // of connecting_
  std::string failures_;       // of those that ended
  net::Timer deadline_;
  net::Timer next_address_at_;
  std::unique_ptr<net::Pending> step_;                     // from here on: they call back into the rest
  std::vector<std::unique_ptr<net::Pending>> connecting_;  // one an address, in their order
};

NetworkDialer::NetworkDialer(net::EventLoop& loop, DialTarget target, std::optional<ProxyUrl> proxy,
                             std::optional<tls::Context> context, Duration connect_timeout, LookUp look_up)
    : loop_(loop),
      target_(std::move(target)),
      proxy_(std::move(proxy)),
      context_(std::move(context)),
      connect_timeout_(connect_timeout),
      look_up_(std::move(look_up)) {}

Result<std::unique_ptr<NetworkDialer>> NetworkDialer::create(net::EventLoop& loop, const ForwardConfig& config,
                                                             LookUp look_up) {
  const auto endpoint = parse_endpoint(config.endpoint);
  if (!endpoint) return tl::unexpected<Error>(endpoint.error());
  return create(loop,
                DialTarget{.host = endpoint->host,
                           .port = endpoint->port,
                           .server_name = config.tls.server_name,
                           .key = "forward.endpoint"},
                config, std::move(look_up));
}

Result<std::unique_ptr<NetworkDialer>> NetworkDialer::create(net::EventLoop& loop, DialTarget target,
                                                             const ForwardConfig& config, LookUp look_up) {
  if (target.server_name.empty()) target.server_name = target.host;
  std::optional<tls::Context> context;
  if (target.transport == DialTarget::Transport::tls) {
    auto made = tls_context(config.tls);
    if (!made) return tl::unexpected<Error>(made.error());
    context = std::move(*made);
  }
  auto proxy = proxy_for(target, config);
  if (!proxy) return tl::unexpected<Error>(proxy.error());
  return std::unique_ptr<NetworkDialer>(new NetworkDialer(
      loop, std::move(target), std::move(*proxy), std::move(context), config.connect_timeout, std::move(look_up)));
}

std::unique_ptr<net::Pending> NetworkDialer::dial(Dialed done) {
  return std::make_unique<Attempt>(*this, std::move(done));
}

}  // namespace twinspool::forward
