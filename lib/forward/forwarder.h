// Delivers the queue to the cloud: carries out, on connections, what Lanes and Endpoint decide.
//
// Loop thread. Fresh messages come from the spool as they are committed, a backlog is read ahead in bounded windows.
// One twin at a time on a connection, with forward.pipeline requests in flight (one, unless configured otherwise), and
// at most forward.connections, opened as ready lanes need them and closed when idle. A message is sent with the same
// bytes at every attempt, until the cloud took it, or it went to the quarantine.
//
// How many messages the cloud can get twice after a crash is bounded: those in flight plus those whose delivery is not
// on disk yet never exceed forward.connections × forward.pipeline + kUnrecordedMax.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "forward/dialer.h"
#include "forward/endpoint.h"
#include "forward/lanes.h"
#include "forward/outcome.h"
#include "forward/token.h"
#include "forward/totals.h"
#include "net/event_loop.h"
#include "spool/spool.h"
#include "util/time.h"

namespace twinspool::forward {

constexpr std::size_t kUnrecordedMax = 256;                        // finished messages whose record is not on disk yet
constexpr Duration kIdleConnectionMax = std::chrono::seconds(60);  // a connection without a request is closed then
constexpr Duration kStopGraceMax = std::chrono::seconds(5);        // requests in flight at stop() are cut then
constexpr std::size_t kAnswerBodyBytesMax = 256 * 1024;            // an answer with more is a protocol error

class Forwarder {
 public:
  struct Options {
    std::uint64_t seed = 0;                           // of the jitter
    std::function<WallTime()> wall_clock = wall_now;  // a simulation has its own
    std::optional<WallTime> paused_since{};           // begins paused, for an operator who paused an earlier forwarder
    Return manner = Return::gentle;                   // after an outage
    Totals totals{};                                  // of those before it
  };

  enum class State : std::uint8_t {
    idle,        // nothing waits
    delivering,  // messages are on their way
    waiting,     // messages wait, `why` says for what
    paused,      // by an operator
  };
  enum class Upstream : std::uint8_t { unknown, up, down };

  struct WaitingLane {  // of a twin that does not flow though the endpoint is well
    TwinNumber twin = 0;
    bool held = false;  // the twin does not exist, else: retrying
    int status = 0;     // of the newest answer, 0: there was none
    std::string error_code;
    std::uint32_t failures = 0;
    Duration waits_for{};  // since it last flowed; a held one since the first hold, by earlier processes too
    Duration retry_in{};
  };

  struct Stats {
    State state = State::idle;
    std::string why;      // empty unless waiting
    WallTime since{};     // when the state began
    Duration retry_in{};  // zero unless waiting for a known moment
    Upstream upstream = Upstream::unknown;
    int last_status = 0;          // of the newest whole answer, 0: none yet
    std::size_t connections = 0;  // open
    std::size_t in_flight = 0;    // requests
    bool stuck = false;           // delivering, and nothing is under way that would send: never for longer than a turn
    std::size_t lanes_ready = 0, lanes_in_flight = 0, lanes_held = 0, lanes_retrying = 0;
    std::size_t window_messages = 0, window_bytes = 0;  // in memory
    std::uint64_t delivered = 0, quarantined = 0;       // of this process
    Totals totals;                                      // with those of the forwarders before
    Duration offline{};                                 // of totals, up to now
  };

  // All outlive the forwarder. It takes over the spool's on_committed and on_unrecorded_fell, and lets go of them when
  // it ends: what is committed without a forwarder is read back by the next one.
  Forwarder(net::EventLoop& loop, Spool& spool, Dialer& dialer, TokenSource& tokens, const ForwardConfig& config,
            Options options);
  Forwarder(net::EventLoop& loop, Spool& spool, Dialer& dialer, TokenSource& tokens, const ForwardConfig& config,
            std::uint64_t seed);
  ~Forwarder();  // cuts what is in flight: the cloud may have taken it, and gets it again with the same Message-Id
  Forwarder(Forwarder&&) = delete;

  void start();
  void pause(WallTime since);  // no new requests; those in flight end as usual
  void resume();
  void kick();  // tries now whatever waits: the endpoint and every lane

  // No new request from now on. `done` runs once, on a later turn, when all that was in flight is answered and handed
  // to spool.finish, or cut after kStopGraceMax.
  void stop(std::function<void()> done);

  Stats stats() const;
  std::vector<WaitingLane> waiting_lanes(std::size_t most) const;  // the greatest troubles first

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string_view to_string(Forwarder::State state);

}  // namespace twinspool::forward
