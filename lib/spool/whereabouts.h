// What became of a message, and what the quarantine holds: questions to the database, for a ReadThread or an operator's
// tool. No index leads to a Message-Id (it would cost the hot path more than it is worth), so the rows are looked
// through from the newest on: where the deduplication window still knows the sequence, that is a look at one row.
#pragma once

#include <string>
#include <vector>

#include "spool/spool.h"
#include "spool/sqlite.h"
#include "spool/telemetry.h"

namespace twinspool {

struct MessageName {
  std::vector<std::string> twins;  // spellings of one twin's path bytes; the first that is known is it
  std::string component;
  std::string message_id;
};

struct Whereabouts {
  // queued, delivered, quarantined, purged, expired, dropped; unknown: never accepted, or longer ago than the trace
  // goes
  std::string state = "unknown";
  Sequence sequence = 0;
  std::int64_t accepted_ms = 0;
  std::int64_t at_ms = 0;                         // when it left the queue
  int status = 0;                                 // the cloud's
  std::string reason, error_code, error_message;  // quarantined
  Sequence replay_of = 0, retry_of = 0;
};

// The newest message of that name. `recent`: the sequence that the window knows, 0 for none.
Result<Whereabouts> find_message(sqlite::Database& database, const MessageName& name, Sequence recent);

struct Quarantined {
  Sequence sequence = 0, replay_of = 0, retry_of = 0;
  std::int64_t accepted_ms = 0, quarantined_ms = 0;
  int status = 0;
  std::int64_t attempts = 0;
  std::string reason, error_code, error_message;
  Telemetry message;
};
constexpr std::size_t kQuarantinedListedMax = 200;

// Those behind `after`, in sequence order, at most `count`.
Result<std::vector<Quarantined>> list_quarantined(sqlite::Database& database, Sequence after, std::size_t count);

// What such a replay would put back now, if there is room.
Result<Recalled> count_kept(sqlite::Database& database, const Recall& order);

}  // namespace twinspool
