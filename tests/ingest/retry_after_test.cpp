#include "ingest/retry_after.h"

#include "support/catch.h"

namespace twinspool::ingest {

using namespace std::chrono_literals;

TEST_CASE("who is refused by a full queue is told to come when it will have opened", "[ingest][retry]") {
  SpoolStats spool;
  spool.queued_messages = 1000;
  spool.queued_bytes = 1'000'000;
  StoreConfig limits;
  limits.max_size = 1'000'000;
  Outlook outlook;
  outlook.departures_per_second = 5;
  const Duration wait = retry_when_full(spool, outlook, limits);  // 5 % are 50 messages
  CHECK(wait > 9900ms);
  CHECK(wait < 10100ms);

  limits.max_messages = 800;  // the stricter limit counts: 240 messages
  CHECK(retry_when_full(spool, outlook, limits) > 47s);
  outlook.departures_per_second = 1'000'000;
  CHECK(retry_when_full(spool, outlook, limits) == kRetryWhenFullMin);
  outlook.departures_per_second = 0.001;
  CHECK(retry_when_full(spool, outlook, limits) == kRetryWhenFullMax);
}

TEST_CASE("where nothing tells when a full queue opens, half a minute is said", "[ingest][retry]") {
  SpoolStats spool;
  spool.queued_messages = 1000;
  spool.queued_bytes = 1'000'000;
  StoreConfig limits;
  limits.max_size = 1'000'000;
  CHECK(retry_when_full(spool, {}, limits) == kRetryWhenFullUnknown);
  Outlook outlook;
  outlook.departures_per_second = 0;
  CHECK(retry_when_full(spool, outlook, limits) == kRetryWhenFullUnknown);
  outlook.departures_per_second = 5;
  spool.queued_bytes = 1000;  // it is the disk that is full
  CHECK(retry_when_full(spool, outlook, limits) == kRetryWhenFullUnknown);
}

}  // namespace twinspool::ingest
