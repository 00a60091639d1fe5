// The words that every layer shares.
#pragma once

#include <cstdint>
#include <string>

namespace twinspool {

// Acceptance order of the whole queue, from 1, never reused. Within a twin it is the order of delivery.
using Sequence = std::uint64_t;

// A twin's number in the store's look-up table: small, stable for the life of the store. One twin, one lane.
using TwinNumber = std::uint32_t;

// A socket's number in the store's look-up table; 0: none that is known.
using SourceNumber = std::uint32_t;

// What the application sent, byte for byte. An empty optional header means it was absent.
struct Telemetry {
  std::string twin;       // path bytes as received: %2F stays %2F
  std::string component;  // path bytes; empty: the twin itself
  std::string message_id;
  std::string source_time;
  std::string traceparent;
  std::string tracestate;
  std::string body;  // one JSON object

  friend bool operator==(const Telemetry&, const Telemetry&) = default;
};

struct Message {
  Sequence sequence = 0;
  TwinNumber twin = 0;
  std::int64_t accepted_ms = 0;  // wall clock at acceptance, for people
  Telemetry telemetry;
};

// What one message weighs against store.max_size and in memory bounds: its texts plus a fixed share for the row.
constexpr std::size_t kRowOverheadBytes = 96;
inline std::size_t weight(const Telemetry& telemetry) {
  return kRowOverheadBytes + telemetry.twin.size() + telemetry.component.size() + telemetry.message_id.size() +
         telemetry.source_time.size() + telemetry.traceparent.size() + telemetry.tracestate.size() +
         telemetry.body.size();
}

}  // namespace twinspool
