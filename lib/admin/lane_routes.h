// The admin route about twins that do not flow:
//   GET /lanes[?limit=N]   those that are held or retrying, the greatest troubles first
//
// Loop thread. The lanes are the forwarder's, of this moment; the twins' names are looked up on a thread of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "admin/admin_server.h"
#include "forward/forwarder.h"
#include "spool/read_thread.h"
#include "spool/twin_names.h"

namespace twinspool::admin {

constexpr std::size_t kLanesListed = 100;      // unless ?limit= says otherwise
constexpr std::size_t kLanesListedMax = 1000;  // whatever it says

struct LaneFacts {
  std::size_t ready = 0, in_flight = 0, held = 0, retrying = 0;
  std::vector<forward::Forwarder::WaitingLane> waiting;  // at most as many as were asked for
  WallTime now{};
};

// Pure. {"held","retrying","ready","in_flight","lanes":[{"twin","state","since","waits_seconds","retry_at",
// "retry_in_seconds","last_status","last_code","failures"}]}
std::string lanes_json(const LaneFacts& facts, const TwinNames& names);

class LaneRoutes {
 public:
  using Gather = std::function<LaneFacts(std::size_t most)>;
  // Adds its route to `admin`, which must not get a request after the end of this.
  LaneRoutes(net::EventLoop& loop, AdminServer& admin, const std::string& database, Gather gather);
  LaneRoutes(LaneRoutes&&) = delete;

 private:
  void lanes(const http::Request& request, const AdminServer::Respond& respond);

  Gather gather_;
  ReadThread look_ups_;
};

}  // namespace twinspool::admin
