// One auth.kind that fetches its token: the seam between when (TokenSchedule, FetchedToken) and how. Loop thread.
#pragma once

#include <functional>
#include <memory>

#include "config/config.h"
#include "forward/dialer.h"
#include "forward/token_answer.h"
#include "net/event_loop.h"

namespace twinspool::forward {

class TokenFetch {
 public:
  using Done = std::function<void(TokenResult)>;
  virtual ~TokenFetch() = default;

  // One attempt. `done` runs once, on a later turn, and may destroy the Pending; destroying it earlier gives up. The
  // TokenFetch outlives the Pending. Every attempt ends: each step has a deadline.
  virtual std::unique_ptr<net::Pending> begin(Done done) = 0;
};

struct FetchSettings {  // what every kind needs
  net::EventLoop& loop;
  MakeDialer make_dialer;
  Duration answer_timeout{};
  Duration retry_after_max{};
  std::function<WallTime()> wall_clock = wall_now;
};

// An attempt that failed before anything was sent: a file that cannot be used. `done` runs on a later turn.
std::unique_ptr<net::Pending> failed_attempt(net::EventLoop& loop, std::string what, TokenFetch::Done done);

// A fault of the way to the token endpoint, in words that say that it is not the cloud's.
TokenFailure unreachable(const std::string& endpoint, const Error& error);

}  // namespace twinspool::forward
