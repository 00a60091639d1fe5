// The way out as one thing: a forwarder and what it stands on, which a reload of `forward` or `auth`, or a recovery of
// the store, replaces, and an operator pauses.
//
// Loop thread. At most one forwarder runs: the old one hands over what it has in flight before the next one reads the
// queue, so nothing is sent twice. An operator's pause and the totals outlive a replacement, not the process.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "admin/delivery_routes.h"
#include "admin/lane_routes.h"
#include "config/config.h"
#include "forward/forwarder.h"
#include "net/event_loop.h"
#include "spool/spool.h"

namespace twinspool {

class Delivery final : public admin::DeliverySwitch {
 public:
  struct Way {
    AuthConfig auth;  // of `token`
    std::unique_ptr<forward::TokenSource> token;
    std::unique_ptr<forward::Dialer> dialer;
    std::unique_ptr<forward::Forwarder> forwarder;  // last: uses both
  };
  using WayOut = std::unique_ptr<Way>;  // null: forward.endpoint is empty, collecting only

  Delivery(net::EventLoop& loop, forward::Return manner);

  // All that can fail; nothing changes before replace().
  Result<WayOut> make(const Config& config);
  // Begins, or takes the place of what runs. A further one meanwhile only changes who comes next. `spool` outlives
  // this.
  void replace(Spool& spool, const ForwardConfig& config, WayOut next);
  void stop(std::function<void()> done);  // what is in flight is handed over; no replace() after it

  bool collects_only() const { return !way_; }
  bool stuck() const;
  forward::Forwarder::Stats stats() const;
  forward::TokenStatus token() const;
  admin::LaneFacts lanes(std::size_t most) const;

  void pause() override;
  bool resume() override;
  bool paused() const override { return paused_since_.has_value(); }
  bool kick() override;

 private:
  void begin();
  void replaced();

  net::EventLoop& loop_;
  const forward::Return manner_;
  Spool* spool_ = nullptr;
  ForwardConfig config_;  // of next_, then of way_
  WayOut way_, next_;
  bool replacing_ = false;  // the old forwarder is about to end, and next_ follows it
  std::function<void()> on_stopped_;
  std::optional<WallTime> paused_since_;
  forward::Totals totals_;  // of the forwarders before the one that runs
};

}  // namespace twinspool
