#include "net/timers.h"

#include <memory>
#include <string>

#include "support/catch.h"

using namespace std::chrono_literals;

namespace twinspool::net {
namespace {

constexpr TimePoint t0 = TimePoint{} + 1h;

TEST_CASE("timers fire by deadline and, where it is the same, in the order in which they were set", "[net][timers]") {
  Timers timers(t0);
  std::string fired;
  Timer late(timers, [&] { fired += 'l'; });
  Timer second(timers, [&] { fired += '2'; });
  Timer first(timers, [&] { fired += '1'; });
  late.set(t0 + 3s);
  first.set(t0 + 1s);
  second.set(t0 + 1s);
  CHECK(timers.next_deadline() == t0 + 1s);

  timers.advance(t0 + 999ms);
  CHECK(fired.empty());
  timers.advance(t0 + 1s);
  CHECK(fired == "12");
  CHECK_FALSE(first.armed());
  timers.advance(t0 + 10s);
  CHECK(fired == "12l");
  CHECK(timers.next_deadline() == kNever);
}

TEST_CASE("setting a timer again moves its deadline", "[net][timers]") {
  Timers timers(t0);
  int fired = 0;
  Timer timer(timers, [&] { ++fired; });
  timer.set_after(1s);
  timer.set_after(5s);
  timers.advance(t0 + 4s);
  CHECK(fired == 0);
  CHECK(timer.deadline() == t0 + 5s);
  timers.advance(t0 + 5s);
  CHECK(fired == 1);
}

TEST_CASE("a timer that always sets itself again fires once an advance", "[net][timers]") {
  Timers timers(t0);
  int again = 0;
  bool other_fired = false;
  Timer greedy(timers, [&] {
    ++again;
    greedy.set_after(0s);
  });
  Timer other(timers, [&] { other_fired = true; });
  greedy.set_after(0s);
  other.set_after(1ms);
  timers.advance(t0 + 1s);
  CHECK(again == 1);
  CHECK(other_fired);
  timers.advance(t0 + 1s);
  CHECK(again == 2);
}

TEST_CASE("a callback may set its timer to a time before those that are still due", "[net][timers]") {
  Timers timers(t0);
  std::string fired;
  Timer back(timers, [&] {
    fired += 'b';
    if (fired.size() < 4) back.set(t0);
  });
  Timer other(timers, [&] { fired += 'o'; });
  back.set(t0 + 1s);
  other.set(t0 + 2s);
  timers.advance(t0 + 3s);
  CHECK(fired == "bo");
  timers.advance(t0 + 3s);
  CHECK(fired == "bob");
}

TEST_CASE("a callback may destroy its own timer and others that are due", "[net][timers]") {
  Timers timers(t0);
  bool victim_fired = false;
  auto victim = std::make_unique<Timer>(timers, [&] { victim_fired = true; });
  std::unique_ptr<Timer> self;
  std::string seen;
  const std::string kept(100, 'x');  // lives in the function: reading it after the end of the timer must be safe
  self = std::make_unique<Timer>(timers, [&, kept] {
    self.reset();
    victim.reset();
    seen = kept;
  });
  self->set(t0 + 1s);
  victim->set(t0 + 2s);
  timers.advance(t0 + 3s);
  CHECK(seen == std::string(100, 'x'));
  CHECK_FALSE(victim_fired);
  CHECK(timers.next_deadline() == kNever);
}

TEST_CASE("time never goes backwards and a delay without end is never due", "[net][timers]") {
  Timers timers(t0);
  timers.advance(t0 - 1h);
  CHECK(timers.now() == t0);
  Timer never(timers, [] { FAIL("fired"); });
  never.set_after(Duration::max());
  CHECK_FALSE(never.armed());
}

}  // namespace
}  // namespace twinspool::net
