#include "spool/sequence_set.h"

#include <random>
#include <set>

#include "support/catch.h"

namespace twinspool {
namespace {

TEST_CASE("neighbouring sequences become one run in whatever order they come", "[spool]") {
  SequenceSet set;
  for (const Sequence sequence : {5U, 3U, 4U, 9U, 4U}) set.add(sequence);
  CHECK(set.runs() == 2);
  CHECK_FALSE(set.contains(2));
  CHECK(set.contains(3));
  CHECK(set.contains(5));
  CHECK_FALSE(set.contains(6));
  CHECK(set.contains(9));
}

TEST_CASE("a sequence set agrees with std::set", "[spool]") {
  std::mt19937 random(7);
  SequenceSet set;
  std::set<Sequence> model;
  for (int step = 0; step < 3000; ++step) {
    const Sequence sequence = random() % 500;
    REQUIRE(set.contains(sequence) == model.contains(sequence));
    const Sequence added = random() % 500;
    set.add(added);
    model.insert(added);
  }
}

}  // namespace
}  // namespace twinspool
