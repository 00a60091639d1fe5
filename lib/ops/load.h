// A load of telemetry on a message socket: many clients on one thread, each with some requests in flight.
//
// Blocks until the load is over and every request is answered. Whatever is not a 204 is counted and the load goes on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "ops/latencies.h"
#include "util/error.h"
#include "util/time.h"

namespace twinspool::ops {

struct LoadOptions {
  std::string socket;
  std::size_t clients = 1;       // connections, each with a twin of its own
  std::size_t in_flight = 1;     // requests of a client that wait for their answers at the same time
  std::size_t batch = 0;         // messages of a request; 0: single messages
  std::size_t body_bytes = 300;  // of a message
  Duration duration{0};          // 0: until `count`
  std::uint64_t count = 0;       // messages; 0: until `duration`
  double rate = 0;  // messages a second, whether answers come or not (open loop); 0: as fast as answers come
  std::string twin_prefix = "bench-";
};

struct LoadReport {
  std::uint64_t messages = 0;            // stored
  std::map<int, std::uint64_t> refused;  // requests by status, other than 204
  std::string first_refusal;             // what it said
  double seconds = 0;
  Latencies latencies;  // of requests that were stored; with a rate, from when each was due
};

// Errc::unreachable: no connection. Errc::closed: the daemon ended a connection. Errc::timeout: no answer for a minute.
Result<LoadReport> run_load(const LoadOptions& options);

}  // namespace twinspool::ops
