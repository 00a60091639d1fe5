// What waits in the queue and what has just come in, for an operator's tool with a connection of its own
// (open_for_questions): also while the daemon is down, and without its help.
//
// Each question is a short transaction: a reader that stays keeps the WAL from starting anew, so a long look is many
// questions, each going on where the last one ended.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "spool/sqlite.h"
#include "spool/telemetry.h"

namespace twinspool {

struct QueuedMessage {
  Sequence sequence = 0, replay_of = 0, retry_of = 0;
  std::int64_t accepted_ms = 0;
  std::uint64_t bytes = 0;
  std::string socket;  // by which it came; empty: put back by an operator
  Telemetry telemetry;
  bool sound = true;  // false: the row's checksum is wrong, so it was damaged on disk
};

struct QueueQuestion {
  Sequence after = 0;
  std::vector<std::string> twins;  // spellings of one twin's path bytes; empty: every twin
  std::size_t messages_max = 1000;
  std::size_t bytes_max = 1 << 20;      // ends behind the message that reaches it
  std::size_t rows_scanned_max = 4096;  // bounds the time
};
struct QueueSlice {
  std::vector<QueuedMessage> messages;  // in sequence order
  Sequence scanned_through = 0;         // go on behind it
  bool reached_end = false;
};
Result<QueueSlice> read_queue(sqlite::Database& database, const QueueQuestion& question);

Result<Sequence> newest_sequence(sqlite::Database& database);  // that was given

// A message that left the queue: its trace, with the body where it is kept for a replay.
struct LeftMessage {
  Sequence sequence = 0, replay_of = 0, retry_of = 0;
  std::int64_t accepted_ms = 0, at_ms = 0;
  int status = 0;
  std::string outcome;  // delivered, quarantined, expired, dropped
  Telemetry telemetry;  // of what is not kept: twin, component and Message-Id
  bool kept = false;
};
Result<std::optional<LeftMessage>> find_left(sqlite::Database& database, Sequence sequence);

// A twin whose messages wait because the cloud refuses them (view `lanes`).
struct HeldTwin {
  std::string twin;
  int status = 0;
  std::string error_code;
};
Result<std::vector<HeldTwin>> list_held(sqlite::Database& database, std::size_t count);

// What was accepted since the last question, the messages that have left the queue meanwhile included.
struct Newcomer {
  Sequence sequence = 0;
  std::int64_t accepted_ms = 0;
  std::string state;  // queued, or the trace's outcome: then without body
  Telemetry telemetry;
};
struct Newcomers {
  std::vector<Newcomer> messages;  // in sequence order
  std::uint64_t passed_over = 0;   // there were more than messages_max: that many before these
};
class NewcomerReader {
 public:
  explicit NewcomerReader(std::size_t messages_max) : messages_max_(messages_max) {}
  // The first call finds the place to begin: nothing, or the newest `show` that wait. `database` may be another
  // connection each time.
  Result<Newcomers> next(sqlite::Database& database, std::size_t show = 0);

 private:
  Result<void> begin(sqlite::Database& database, std::size_t show);
  Result<Newcomers> read(sqlite::Database& database);

  const std::size_t messages_max_;
  bool begun_ = false;
  Sequence seen_ = 0;        // newest sequence of the last question
  std::int64_t traced_ = 0;  // newest row of the trace then
};

}  // namespace twinspool
