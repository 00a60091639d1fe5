#include "spool/figures.h"

#include "support/catch.h"

namespace twinspool {

TEST_CASE("what is queued is counted for all and for its source", "[spool][figures]") {
  Figures figures;
  figures.queued(1, 100);
  figures.queued(2, 30);
  figures.queued(1, 50);
  CHECK(figures.queued_messages == 3);
  CHECK(figures.queued_bytes == 180);
  CHECK(figures.waiting(1) == Waiting{2, 150});
  CHECK(figures.waiting(2) == Waiting{1, 30});
  CHECK(figures.waiting(3) == Waiting{});
  CHECK(figures.of_all_sources() == Waiting{3, 180});
  CHECK(figures.sources_text() == "[[1,2,150],[2,1,30]]");
  figures.left_queue(1, 100);
  CHECK(figures.waiting(1) == Waiting{1, 50});
  figures.left_queue(1, 50);
  CHECK(figures.sources_text() == "[[2,1,30]]");
  figures.left_queue(2, 30);
  CHECK(figures.queued_messages == 0);
  CHECK(figures.queued_bytes == 0);
  CHECK(figures.sources_text() == "[]");
}

TEST_CASE("whatever a damaged row claims, no figure goes below zero and an empty queue weighs nothing",
          "[spool][figures]") {
  Figures figures;
  figures.queued(1, 100);
  figures.queued(1, 100);
  figures.left_queue(1, UINT64_MAX);
  CHECK(figures.queued_messages == 1);
  CHECK(figures.queued_bytes == 0);
  CHECK(figures.waiting(1) == Waiting{1, 0});
  figures.left_queue(7, 5);  // a source that has nothing
  CHECK(figures.queued_messages == 0);
  CHECK(figures.queued_bytes == 0);
  CHECK(figures.sources.empty());
}

}  // namespace twinspool
