// The inside of the Forwarder, whose outside is forwarder.cpp. One turn of the loop is one pump(): read, send, sleep;
// what was sent comes back by on_answer().
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "forward/backoff.h"
#include "forward/delivery_log.h"
#include "forward/endpoint.h"
#include "forward/forwarder.h"
#include "forward/lane_notes.h"
#include "forward/rate.h"
#include "forward/telemetry_request.h"
#include "http/client.h"

namespace twinspool::forward {

struct Forwarder::Impl {
  using ConnectionId = std::uint64_t;

  struct Request {
    InFlight message;
    Endpoint::Permit permit;
    std::uint64_t token_serial = 0;
  };
  struct Connection {
    std::unique_ptr<http::ClientConnection> http;
    std::deque<Request> requests{};  // unanswered, of one lane, in the order in which they went
    bool answered_before = false;
    bool last_answer_came = false;  // the server said so in it, or it cannot be followed by another
    TimePoint idle_since{};
  };
  struct Dial {
    std::unique_ptr<net::Pending> pending;
    Endpoint::Permit permit;
  };

  Impl(net::EventLoop& event_loop, Spool& the_spool, Dialer& the_dialer, TokenSource& the_tokens,
       const ForwardConfig& the_config, Options the_options);
  ~Impl();

  // Wraps a callback that somebody keeps who may outlive the forwarder.
  template <class Function>
  auto while_alive(Function function) {
    return [alive = std::weak_ptr<bool>(alive_), function = std::move(function)](auto&&... values) {
      if (alive.lock()) function(std::forward<decltype(values)>(values)...);
    };
  }

  void pump_later() { pumping_soon.post(); }  // once a turn, however much happened in it
  void pump();
  bool may_begin() const { return started_ && !paused_ && !stopping_; }
  bool may_leave_unrecorded() const;
  void read_ahead(TimePoint now);
  void on_read(Result<ReadResult> result);
  void get_token(TimePoint now);
  void send_ready(TimePoint now);
  bool send_next(TimePoint now);
  void begin_lane(ConnectionId id, TimePoint now);
  void send(ConnectionId id, const InFlight& message, TimePoint now);
  void dial_more(TimePoint now);
  void on_dialed(ConnectionId id, Result<std::unique_ptr<net::Stream>> stream);

  void on_answer(ConnectionId id, Result<http::Response> result);
  void apply(const Request& request, const Outcome& outcome, TimePoint now);
  void put_back(const InFlight& message);  // to be sent again
  void leave(const InFlight& message, Finished::How how, const Outcome& outcome);
  void hold_or_retry(const InFlight& message, const Outcome& outcome, TimePoint now);

  void close(ConnectionId id);
  void close_idle();
  void close_long_idle(TimePoint now);
  void arm_wake_up(TimePoint now);
  void check_stopped();
  void cut();
  void watch_state();
  bool stuck() const;
  std::pair<State, std::string> condition() const;

  net::EventLoop& loop;
  Spool& spool;
  Dialer& dialer;
  TokenSource& tokens;
  const ForwardConfig config;
  const Options options;
  const RequestTarget target;

  Lanes lanes;
  Endpoint endpoint;
  Backoff lane_backoff;
  RateLimit rate;
  LaneNotes notes;
  DeliveryLog delivery_log;

  std::unordered_map<ConnectionId, Connection> connections;
  std::unordered_map<LaneId, ConnectionId> carriers;  // of lanes in flight, where they may have more than one message
  std::vector<ConnectionId> idle;                     // the back was used last, and is used first
  std::unordered_map<ConnectionId, Dial> dials;
  ConnectionId next_connection = 1;

  std::string token;
  std::uint64_t token_serial = 0;
  bool token_known = false;  // of this pump
  bool getting_token = false;

  bool started_ = false, paused_ = false, stopping_ = false;
  bool pumping = false;
  bool reading_allowed = false;
  TimePoint read_not_before = TimePoint::min();
  TimePoint dial_not_before = TimePoint::min();
  TimePoint rate_next = kNever;  // the rate allows nothing before
  std::function<void()> stopped;

  State state = State::idle;
  WallTime state_since{};
  int last_status = 0;
  std::uint64_t delivered = 0, quarantined = 0;
  Totals totals;

  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  net::Deferred pumping_soon;
  net::Timer wake_up, stop_deadline;
};

}  // namespace twinspool::forward
