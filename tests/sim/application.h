// An application as it should be, on one connection to the local API: of each twin one message after the other, several
// twins at once, now and then a batch, and each message with the same Message-Id until its 204.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "http/client.h"
#include "net/event_loop.h"
#include "net/stream.h"
#include "spool/telemetry.h"

namespace twinspool::sim {

class Application {
 public:
  using Connect = std::function<std::unique_ptr<net::Stream>()>;  // null: nobody listens
  using Told = std::function<void(const std::string&)>;
  struct Events {
    Told acknowledged;  // a Message-Id
    Told violated;      // an answer that a good application never gets
  };

  // `one_at_a_time`: of all twins together, so that messages are accepted in the order in which they are sent.
  Application(net::EventLoop& loop, std::uint64_t seed, bool one_at_a_time, Connect connect, Events events);

  void send(Telemetry telemetry);  // behind the earlier ones of its twin
  void go_on();                    // sends what may go
  void try_again();                // also what was refused for the time being

  std::size_t unacknowledged() const;

 private:
  bool chance(int percent) { return std::uniform_int_distribution<int>(1, 100)(random_) <= percent; }
  std::vector<std::string> ready() const;
  void ask(const std::vector<std::string>& queues, std::string request);
  void answered(const std::vector<std::string>& queues, const Result<http::Response>& answer);

  net::EventLoop& loop_;
  std::mt19937_64 random_;
  const bool one_at_a_time_;
  const Connect connect_;
  const Events events_;
  std::map<std::string, std::deque<Telemetry>> queues_;  // by twin, or all in one; the first may have been sent
  std::set<std::string> asked_;                          // queues whose first is being asked for
  bool refused_ = false;                                 // until try_again()
  std::unique_ptr<http::ClientConnection> connection_;
};

}  // namespace twinspool::sim
