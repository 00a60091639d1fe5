#include "net/event_loop.h"

#include <atomic>
#include <csignal>
#include <ctime>
#include <string>
#include <thread>

#include "support/catch.h"
#include "support/run_until.h"

using namespace std::chrono_literals;

namespace twinspool::net {
namespace {

TEST_CASE("posted work runs in call order and what it posts runs a turn later", "[net][loop]") {
  EventLoop loop(EventLoop::Clock::manual);
  std::string ran;
  loop.post([&] {
    ran += '1';
    loop.post([&] { ran += '3'; });
  });
  loop.post([&] { ran += '2'; });
  CHECK(ran.empty());
  loop.run_turn();
  CHECK(ran == "12");
  loop.run_turn();
  CHECK(ran == "123");
}

TEST_CASE("a running loop does not wait while work is posted", "[net][loop]") {
  EventLoop loop;
  int turns = 0;
  std::function<void()> again = [&] {
    if (++turns == 100) return loop.stop();
    loop.post(again);
  };
  loop.post(again);
  loop.run();  // would hang
  CHECK(turns == 100);
}

TEST_CASE("an idle loop does not turn", "[net][loop]") {
  EventLoop loop;
  Timer stop(loop.timers(), [&] { loop.stop(); });
  loop.update_now();
  stop.set_after(200ms);
  const std::clock_t before = std::clock();
  loop.run();
  const double used = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  CHECK(used < 0.1);  // processor time: it would be 0.2 s in a loop that spins
}

TEST_CASE("a manual clock moves only by advance and timers fire in the turn", "[net][loop]") {
  EventLoop loop(EventLoop::Clock::manual);
  const TimePoint start = loop.now();
  bool fired = false;
  Timer timer(loop.timers(), [&] { fired = true; });
  timer.set_after(1h);
  run_turns(loop, 3);
  CHECK(loop.now() == start);
  loop.advance(1h);
  CHECK_FALSE(fired);
  CHECK(loop.now() == start + 1h);
  loop.run_turn();
  CHECK(fired);
}

TEST_CASE("a real clock fires timers no earlier than their deadlines", "[net][loop]") {
  EventLoop loop;
  const TimePoint start = monotonic_now();
  loop.update_now();
  TimePoint early{};
  TimePoint late{};
  Timer first(loop.timers(), [&] { early = monotonic_now(); });
  Timer second(loop.timers(), [&] {
    late = monotonic_now();
    loop.stop();
  });
  second.set(start + 30ms);
  first.set(start + 10ms);
  loop.run();
  CHECK(early >= start + 10ms);
  CHECK(late >= start + 30ms);
  CHECK(early <= late);
}

TEST_CASE("wakes from another thread coalesce but none is lost", "[net][loop]") {
  EventLoop loop;
  int woken = 0;
  bool last_seen = false;
  std::atomic<bool> last{false};
  Waker waker(loop, [&] {
    ++woken;
    if (last.load()) {
      last_seen = true;
      loop.stop();
    }
  });
  for (int call = 0; call < 1000; ++call) waker.wake();
  loop.run_turn();
  CHECK(woken == 1);

  std::thread other([&] {
    last = true;
    waker.wake();
  });
  loop.run();
  other.join();
  CHECK(last_seen);
}

TEST_CASE("the time is right in a callback after a long wait", "[net][loop]") {
  EventLoop loop;
  TimePoint seen{};
  Waker waker(loop, [&] {
    seen = loop.now();
    loop.stop();
  });
  TimePoint sent{};
  std::thread other([&] {
    std::this_thread::sleep_for(20ms);  // only for the loop to be waiting by then: the test holds either way
    sent = monotonic_now();
    waker.wake();
  });
  loop.run();
  other.join();
  CHECK(seen >= sent - 1ms);  // libuv's time is in whole milliseconds
}

struct Mortal {
  explicit Mortal(bool& dead) : dead_(dead) {}
  ~Mortal() { dead_ = true; }
  bool& dead_;
};

TEST_CASE("a retired object lives until the posted work of the turn has run", "[net][loop]") {
  EventLoop loop(EventLoop::Clock::manual);
  bool dead = false;
  bool dead_in_post = true;
  loop.retire(std::make_unique<Mortal>(dead));
  loop.post([&] { dead_in_post = dead; });
  CHECK_FALSE(dead);
  loop.run_turn();
  CHECK_FALSE(dead_in_post);
  CHECK(dead);
}

TEST_CASE("the end of the loop ends what was retired and forgets what was posted", "[net][loop]") {
  bool dead = false;
  bool ran = false;
  {
    EventLoop loop;
    loop.retire(std::make_unique<Mortal>(dead));
    loop.post([&] { ran = true; });
  }
  CHECK(dead);
  CHECK_FALSE(ran);
}

TEST_CASE("deferred work runs once for many posts and never after its end", "[net][loop]") {
  EventLoop loop(EventLoop::Clock::manual);
  int ran = 0;
  auto deferred = std::make_unique<Deferred>(loop, [&] { ++ran; });
  deferred->post();
  deferred->post();
  loop.run_turn();
  CHECK(ran == 1);
  deferred->post();
  deferred.reset();
  loop.run_turn();
  CHECK(ran == 1);

  std::unique_ptr<Deferred> self;
  self = std::make_unique<Deferred>(loop, [&] {
    self.reset();
    ++ran;
  });
  self->post();
  loop.run_turn();
  CHECK(ran == 2);
}

TEST_CASE("a watched signal calls back on the loop", "[net][loop]") {
  EventLoop loop;
  int caught = 0;
  SignalWatcher watcher(loop, SIGUSR1, [&] { ++caught; });
  std::raise(SIGUSR1);
  CHECK(caught == 0);
  CHECK(run_until(loop, [&] { return caught == 1; }));
}

}  // namespace
}  // namespace twinspool::net
