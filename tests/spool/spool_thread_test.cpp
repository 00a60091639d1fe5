#include <atomic>

#include "spool/fixture.h"
#include "support/catch.h"

namespace twinspool {
namespace {

struct ThreadedFixture {
  ThreadedFixture() {
    config.path = dir.file("queue.db");
    config.min_free = 0;
  }
  void open() {
    auto opened = Spool::open(config, loop, Spool::Writer::thread, clocks);
    ENSURE(opened);
    spool = std::move(*opened);
  }

  TempDir dir;
  StoreConfig config;
  SpoolClocks clocks;
  net::EventLoop loop;
  std::unique_ptr<Spool> spool;
};

TEST_CASE("the writer thread commits, reads and records what the loop asks for", "[spool][thread]") {
  constexpr std::size_t kClients = 20;
  constexpr std::size_t kMessages = 2000;
  ThreadedFixture fixture;
  fixture.open();
  std::size_t sent = 0;
  std::size_t stored = 0;
  Sequence newest = 0;
  std::size_t read_back = 0;
  std::size_t passed_on = 0;
  Sequence last_passed = 0;
  Sequence answered = 0;

  fixture.spool->on_committed([&](std::vector<Message>&& messages) {
    for (const Message& message : messages) {
      CHECK(message.sequence == last_passed + 1);
      CHECK(message.sequence <= answered);  // their answers ran before
      last_passed = message.sequence;
      ++passed_on;
      fixture.spool->finish({.sequence = message.sequence, .status = 204});
    }
  });
  fixture.spool->on_unrecorded_fell([&] {
    if (stored == kMessages && fixture.spool->stats().unrecorded == 0) fixture.loop.stop();
  });
  std::function<void()> send = [&] {
    if (sent == kMessages) return;
    const std::size_t number = sent++;
    fixture.spool->append(telemetry("twin" + std::to_string(number % 7), std::to_string(number)),
                          [&](const auto& answer) {
                            REQUIRE(answer);
                            CHECK(answer->sequence > newest);  // answers come in call order
                            newest = answered = answer->sequence;
                            ++stored;
                            if (stored % 50 == 0)
                              fixture.spool->read({.messages_max = 10}, [&](const Result<ReadResult>& result) {
                                REQUIRE(result);
                                for (const Message& message : result->messages) CHECK(message.sequence <= last_passed);
                                read_back += result->messages.size();
                              });
                            send();
                          });
  };
  for (std::size_t client = 0; client < kClients; ++client) send();
  fixture.loop.run();

  CHECK(stored == kMessages);
  CHECK(passed_on == kMessages);
  CHECK(fixture.spool->stats().delivered == kMessages);
  CHECK(fixture.spool->stats().queued_messages == 0);
  CHECK(fixture.spool->stats().inbox_messages == 0);
  CHECK(fixture.spool->stats().commits < kMessages);  // they shared commits
}

TEST_CASE("a spool that goes away keeps what it was given", "[spool][thread]") {
  ThreadedFixture fixture;
  fixture.open();
  fixture.spool->append(telemetry("pump", "first"), [&](const auto&) { fixture.loop.stop(); });
  fixture.loop.run();  // only what is committed is passed on, and can be finished
  for (int i = 1; i < 100; ++i) fixture.spool->append(telemetry("pump", std::to_string(i)), [](const auto&) {});
  fixture.spool->finish({.sequence = 1, .status = 204});
  fixture.spool.reset();
  fixture.open();
  CHECK(fixture.spool->stats().queued_messages == 99);
  CHECK(fixture.spool->stats().delivered == 1);
}

TEST_CASE("one finished message is recorded without anything else to commit", "[spool][thread]") {
  ThreadedFixture fixture;
  fixture.open();
  fixture.spool->on_unrecorded_fell([&] { fixture.loop.stop(); });
  fixture.spool->append(telemetry("pump", "a"), [&](const auto& answer) {
    fixture.spool->finish({.sequence = answer->sequence, .status = 204});
  });
  fixture.loop.run();
  CHECK(fixture.spool->stats().delivered == 1);
}

TEST_CASE("a closed spool has marked its stop as clean and answers what comes late", "[spool][thread]") {
  ThreadedFixture fixture;
  fixture.open();
  std::vector<std::string> heard;
  fixture.spool->append(telemetry("pump", "a"),
                        [&](const auto& answer) { heard.push_back(answer ? "stored" : "refused"); });
  fixture.spool->flush_and_close([&] {
    CHECK(fixture.dir.read("queue.db.run").find("state clean") != std::string::npos);
    fixture.spool->read({}, [&](const Result<ReadResult>& result) {
      CHECK(result.error().code == Errc::closed);
      heard.push_back("read");
      fixture.loop.stop();
    });
  });
  fixture.loop.run();
  CHECK(heard == std::vector<std::string>{"stored", "read"});
}

TEST_CASE("the writer rests while nothing can be recorded after an I/O error", "[spool][thread][faults]") {
  DiskFaults disk;
  ThreadedFixture fixture;
  std::atomic<int> rounds{0};
  fixture.clocks.uptime_ms = [&] {
    ++rounds;
    return uptime_ms();
  };
  fixture.open();
  fixture.spool->append(telemetry("pump", "a"), [&](const auto& stored) {
    REQUIRE(stored);
    disk.fail_syncs(true);
    fixture.spool->append(telemetry("pump", "b"), [&](const auto& refused) {
      REQUIRE_FALSE(refused);
      // The refused append takes the finished message along, before the time to record it has come.
      fixture.spool->finish({.sequence = 1, .status = 204});
      fixture.spool->append(telemetry("pump", "c"), [](const auto&) {});
    });
  });
  net::Timer ends(fixture.loop.timers(), [&] { fixture.loop.stop(); });
  ends.set_after(std::chrono::milliseconds(1500));  // beyond the second in which a finished message is recorded
  fixture.loop.run();
  CHECK(rounds < 100);
  CHECK(fixture.spool->stats().unrecorded == 1);
}

}  // namespace
}  // namespace twinspool
