// What GET /status says: the components' own figures, as one JSON document, and the daemon's state in one word. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "forward/forwarder.h"
#include "ingest/ingest_server.h"
#include "spool/forecast.h"
#include "spool/spool.h"
#include "util/time.h"

namespace twinspool::admin {

enum class State : std::uint8_t {
  delivering,  // messages are on their way to the cloud
  idle,        // nothing waits
  waiting,     // messages wait, and `why` says for what
  paused,      // an operator paused the forwarder
  degraded,    // the store takes no messages: needs attention
};

struct Facts {  // gathered at one moment, on the loop thread
  std::string store_path;
  std::string endpoint;              // empty: collecting only
  std::uint64_t capacity_bytes = 0;  // store.max_size
  SpoolStats spool;
  Outlook outlook;
  forward::TokenStatus token;
  forward::Forwarder::Stats forwarder;
  ingest::IngestServer::Stats ingest;
  std::vector<SourceConfig> sockets;  // in the order of spool.sources
  WallTime now{};
  Duration uptime{};
  bool clock_synchronized = false;
  std::optional<std::uint64_t> disk_written_bytes;  // by this process; nullopt: the kernel does not say
};

struct Condition {
  State state = State::idle;
  std::string why;   // empty where the word says it all
  WallTime since{};  // when it began
};

Condition condition_of(const Facts& facts);
std::string_view to_string(State state);

// One line for people: "waiting: the cloud answers 503; 1234 messages are queued".
std::string status_line(const Condition& condition, const SpoolStats& spool);

std::string status_json(const Facts& facts, const Condition& condition);

}  // namespace twinspool::admin
