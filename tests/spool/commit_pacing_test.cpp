#include "spool/commit_pacing.h"

#include "support/catch.h"

namespace twinspool {
namespace {

using namespace std::chrono_literals;
constexpr TimePoint t0{1h};

TEST_CASE("a lone client's commit never waits", "[spool][pacing]") {
  CommitPacing pacing;
  CHECK(pacing.due(1, t0) == t0);
  pacing.committed(1, 0, 5ms, t0);
  CHECK(pacing.due(1, t0 + 1ms) == t0 + 1ms);
}

TEST_CASE("a commit waits half a sync for those the last one answered and those who came meanwhile",
          "[spool][pacing]") {
  CommitPacing pacing;
  pacing.committed(4, 4, 5ms, t0);
  CHECK(pacing.expected() == 8);
  CHECK(pacing.due(4, t0 - 1ms) == t0 + 2500us);  // from when the writer was free
  CHECK(pacing.due(4, t0 + 1ms) == t0 + 3500us);
  CHECK(pacing.due(8, t0 + 1ms) == t0 + 1ms);  // all are here
}

TEST_CASE("waiting for those who do not come gets shorter, and longer again when they do", "[spool][pacing]") {
  CommitPacing pacing;
  pacing.committed(4, 4, 8ms, t0);
  pacing.committed(4, 4, 8ms, t0);  // eight were expected
  CHECK(pacing.due(1, t0) == t0 + 2ms);
  pacing.committed(4, 4, 8ms, t0);
  CHECK(pacing.due(1, t0) == t0 + 1ms);
  pacing.committed(8, 0, 8ms, t0);
  CHECK(pacing.due(1, t0) == t0 + 2ms);
}

TEST_CASE("store.commit_delay is kept even by a lone client", "[spool][pacing]") {
  CommitPacing pacing(3ms);
  CHECK(pacing.due(1, t0) == t0 + 3ms);
  CHECK(pacing.due(100, t0) == t0 + 3ms);
}

TEST_CASE("a stalled card does not make commits wait for seconds", "[spool][pacing]") {
  CommitPacing pacing;
  pacing.committed(4, 4, 5s, t0);
  CHECK(pacing.due(1, t0) == t0 + 50ms);
}

}  // namespace
}  // namespace twinspool
