#include "delivery.h"

#include <random>
#include <utility>

#include "forward/network_dialer.h"
#include "forward/token_sources.h"
#include "util/log.h"

namespace twinspool {
namespace {

// The kernel's: clocks and process ids may be the same on a whole fleet that was switched on together.
std::uint64_t jitter_seed() {
  std::random_device kernel;
  return static_cast<std::uint64_t>(kernel()) << 32 | kernel();
}

}  // namespace

Delivery::Delivery(net::EventLoop& loop, forward::Return manner) : loop_(loop), manner_(manner) {}

Result<Delivery::WayOut> Delivery::make(const Config& config) {
  if (config.forward.endpoint.empty()) return WayOut();
  auto way = std::make_unique<Way>();
  auto token = forward::make_token_source(loop_, config.auth, config.forward,
                                          {.make_dialer =
                                               [this, &config](const forward::DialTarget& target) {
                                                 return forward::NetworkDialer::create(loop_, target, config.forward);
                                               },
                                           .environment = forward::IdentityEnvironment::of_process(),
                                           .seed = jitter_seed()});
  if (!token) return tl::unexpected(token.error());
  way->token = std::move(*token);
  way->auth = config.auth;
  if (way_ && way_->auth == config.auth) way->token->take_over(*way_->token);
  auto dialer = forward::NetworkDialer::create(loop_, config.forward);
  if (!dialer) return tl::unexpected(dialer.error());
  way->dialer = std::move(*dialer);
  return way;
}

void Delivery::replace(Spool& spool, const ForwardConfig& config, WayOut next) {
  spool_ = &spool;
  config_ = config;
  next_ = std::move(next);
  if (replacing_) return;
  if (!way_) return begin();
  replacing_ = true;
  way_->forwarder->stop([this] {
    totals_ = way_->forwarder->stats().totals;
    loop_.retire(std::move(way_));
    // On a later turn: the old one lets go of the spool when it ends, and would let go of it for the new one, too.
    loop_.post([this] { replaced(); });
  });
}

void Delivery::replaced() {
  replacing_ = false;
  if (on_stopped_) return std::exchange(on_stopped_, nullptr)();
  begin();
}

void Delivery::begin() {
  way_ = std::move(next_);
  if (!way_) return;
  way_->forwarder = std::make_unique<forward::Forwarder>(
      loop_, *spool_, *way_->dialer, *way_->token, config_,
      forward::Forwarder::Options{
          .seed = jitter_seed(), .paused_since = paused_since_, .manner = manner_, .totals = totals_});
  way_->forwarder->start();
}

void Delivery::stop(std::function<void()> done) {
  if (replacing_) {
    on_stopped_ = std::move(done);
  } else if (way_) {
    way_->forwarder->stop(std::move(done));
  } else {
    done();
  }
}

bool Delivery::stuck() const { return way_ && way_->forwarder->stats().stuck; }

forward::Forwarder::Stats Delivery::stats() const {
  if (way_) return way_->forwarder->stats();
  forward::Forwarder::Stats stats;
  stats.totals = totals_;
  stats.offline = totals_.offline.total(loop_.now());
  return stats;
}

forward::TokenStatus Delivery::token() const { return way_ ? way_->token->status() : forward::TokenStatus{}; }

admin::LaneFacts Delivery::lanes(std::size_t most) const {
  if (!way_) return {.waiting = {}, .now = wall_now()};
  const forward::Forwarder::Stats stats = way_->forwarder->stats();
  return {.ready = stats.lanes_ready,
          .in_flight = stats.lanes_in_flight,
          .held = stats.lanes_held,
          .retrying = stats.lanes_retrying,
          .waiting = way_->forwarder->waiting_lanes(most),
          .now = wall_now()};
}

void Delivery::pause() {
  if (paused_since_) return;
  paused_since_ = wall_now();
  log::warn("forward.paused", {{"remedy", "twinspool resume"}});
  if (way_) way_->forwarder->pause(*paused_since_);
}

bool Delivery::resume() {
  if (!paused_since_) return false;
  paused_since_.reset();
  log::info("forward.resumed", {});
  if (way_) way_->forwarder->resume();
  return true;
}

bool Delivery::kick() {
  if (way_) way_->forwarder->kick();
  return way_ != nullptr;
}

}  // namespace twinspool
