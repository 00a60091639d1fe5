#include "spool/figures.h"

#include "spool/loss_count.h"
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

TEST_CASE("rows tell what was appended since, and nothing else", "[spool][figures]") {
  Figures persisted;
  persisted.appended(1, 100);
  Figures now = persisted;
  CHECK(persisted.with_rows_tell(now));
  for (std::uint64_t i = 1; i < kFiguresLagMax; ++i) now.appended(2, 50);
  CHECK(persisted.with_rows_tell(now));
  CHECK(now.accepted == kFiguresLagMax);
  CHECK(now.waiting(2) == Waiting{kFiguresLagMax - 1, 50 * (kFiguresLagMax - 1)});
  now.appended(2, 50);
  CHECK_FALSE(persisted.with_rows_tell(now));  // a start would read more rows than it may

  for (const auto change : {&Figures::duplicates, &Figures::delivered, &Figures::quarantine_messages, &Figures::retried,
                            &Figures::replayed, &Figures::kept_messages, &Figures::accepted, &Figures::lost}) {
    now = persisted;
    ++(now.*change);
    CHECK_FALSE(persisted.with_rows_tell(now));
  }
  now = persisted;
  now.queued(1, 100);  // salvaged, under a sequence that was given before
  CHECK_FALSE(persisted.with_rows_tell(now));
}

TEST_CASE("of a damaged store as many are lost as figures and sequences tell", "[spool][figures]") {
  LossCount losses(3, 10);  // three wait below 10
  CHECK(losses.lost() == 3);
  losses.found(4, true);
  losses.found(9, true);
  CHECK(losses.lost() == 1);
  for (const Sequence sequence : {10, 11, 14}) losses.found(sequence, true);
  CHECK(losses.lost() == 3);  // 12 and 13, too
  losses.found(12, false);
  CHECK(losses.lost() == 2);
  losses.found(1000, false);  // damaged, so nothing is believed of it
  CHECK(losses.lost() == 1);
}

}  // namespace twinspool
