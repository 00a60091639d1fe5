// forward-bench: messages a second that the forwarder brings to an endpoint, with a feed in memory in the store's
// place, so that only the way out is measured. One JSON object a run. scripts/bench forward runs it beside wrk and
// h2load.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "forward/forwarder.h"
#include "forward/network_dialer.h"
#include "forward/token.h"
#include "net/event_loop.h"
#include "spool/spool.h"
#include "util/log.h"

namespace {

using namespace twinspool;

// Each twin always has `waiting` messages that are committed and not delivered.
class Feed final : public Spool {
 public:
  Feed(net::EventLoop& loop, std::size_t twins, std::size_t waiting, bool held, std::string body)
      : loop_(loop), body_(std::move(body)), held_(held), twin_of_(1), end_of_turn_(loop, [this] { hand_over(); }) {
    for (std::size_t n = 0; n < waiting; ++n) {
      for (std::size_t twin = 1; twin <= twins; ++twin) add(static_cast<TwinNumber>(twin));
    }
    end_of_turn_.post();
  }

  std::uint64_t delivered = 0;

  void on_committed(Committed committed) override { committed_ = std::move(committed); }
  void on_unrecorded_fell(std::function<void()>) override {}
  void append(Source, Telemetry, Appended) override { ENSURE(false); }
  void append_batch(Source, std::vector<Telemetry>,
                    std::function<void(tl::expected<std::vector<Receipt>, Refused>)>) override {
    ENSURE(false);
  }
  bool claim(Sequence) override { return true; }
  void release(Sequence) override {}
  void recall(Recall, std::function<void(Result<Recalled>)>) override { ENSURE(false); }
  void find_recent(Telemetry, std::function<void(Sequence)>) override { ENSURE(false); }
  void ping(std::function<void()>) override { ENSURE(false); }
  void finish(Finished how) override {
    ENSURE(how.how == Finished::How::delivered);
    ++delivered;
    add(twin_of_.at(how.sequence));
    end_of_turn_.post();
  }
  void note_lane(LaneNote) override {}
  // All that flows fits into the window: what is read back is of a twin that is held, and stays where it is.
  void read(ReadRequest request, std::function<void(Result<ReadResult>)> done) override {
    loop_.post([done = std::move(done), through = std::min(request.through, newest_)] {
      done(ReadResult{.messages = {}, .scanned_through = through, .reached_end = true});
    });
  }
  void on_recovered(std::function<void()>) override {}
  void acknowledge(std::function<void(Result<void>)>) override { ENSURE(false); }
  void reconfigure(const StoreConfig&) override {}
  void flush_and_close(std::function<void()>) override { ENSURE(false); }
  const SpoolStats& stats() const override { return stats_; }
  const std::map<TwinNumber, LaneNote>& lane_notes() const override { return notes_; }
  bool commit_batch() override { return false; }

 private:
  void add(TwinNumber twin) {
    Message message{.sequence = ++newest_, .twin = twin, .accepted_ms = 0, .telemetry = {}};
    twin_of_.push_back(twin);
    message.telemetry.twin = held_ && twin == 1 ? "ghost" : "twin-" + std::to_string(twin);
    message.telemetry.message_id = "0b7b1c2e-6f0d-4c56-9d1e-" + std::to_string(100'000'000'000 + newest_);
    message.telemetry.source_time = "2026-11-24T20:00:00.000Z";
    message.telemetry.body = body_;
    fresh_.push_back(std::move(message));
  }
  void hand_over() {
    if (!fresh_.empty() && committed_) committed_(std::exchange(fresh_, {}));
  }

  net::EventLoop& loop_;
  const std::string body_;
  const bool held_;
  std::vector<TwinNumber> twin_of_;  // by sequence
  std::vector<Message> fresh_;
  Sequence newest_ = 0;
  SpoolStats stats_;
  std::map<TwinNumber, LaneNote> notes_;
  Committed committed_;
  net::Deferred end_of_turn_;
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The forwarder against an endpoint that answers 204.");
  ForwardConfig config;
  config.retry.initial = std::chrono::milliseconds(20);  // the ramp is over within the warm-up
  std::size_t twins = 0, body_bytes = 200;
  double seconds = 5, warm_up = 1.5;
  bool held = false;
  app.add_option("--endpoint", config.endpoint)->required();
  app.add_option("--ca", config.tls.ca_file)->required();
  app.add_option("--server-name", config.tls.server_name);
  app.add_option("--connections", config.connections);
  app.add_option("--pipeline", config.pipeline);
  app.add_option("--twins", twins, "0: twice the connections");
  app.add_flag("--held", held, "one of the twins is `ghost`, which the endpoint does not know");
  app.add_option("--body", body_bytes);
  app.add_option("--seconds", seconds);
  app.add_option("--warm-up", warm_up, "before the measuring begins: connections are made, the ramp is over");
  CLI11_PARSE(app, argc, argv);
  if (twins == 0) twins = 2 * config.connections;
  log::set_level(log::Level::warn);

  net::EventLoop loop;
  const std::size_t waiting = std::max<std::size_t>(2, 2 * config.pipeline);
  Feed feed(loop, twins, waiting, held,
            R"({"v":")" + std::string(body_bytes - std::min<std::size_t>(body_bytes, 8), 'x') + "\"}");
  forward::NoToken tokens;
  auto dialer = forward::NetworkDialer::create(loop, config);
  if (!dialer) {
    std::fprintf(stderr, "forward-bench: %s\n", dialer.error().what.c_str());
    return 1;
  }
  forward::Forwarder forwarder(loop, feed, **dialer, tokens, config, 1);
  forwarder.start();
  std::uint64_t before = 0;
  double cpu_before = 0;
  TimePoint began{};
  net::Timer end(loop.timers(), [&] { loop.stop(); });
  net::Timer begin(loop.timers(), [&] {
    before = feed.delivered;
    cpu_before = cpu_seconds();
    began = monotonic_now();
    end.set_after(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)));
  });
  begin.set_after(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(warm_up)));
  loop.run();
  const double elapsed = std::chrono::duration<double>(monotonic_now() - began).count();
  const auto count = static_cast<double>(feed.delivered - before);
  std::printf("{\"per_second\": %.1f, \"cpu_us_per_message\": %.2f}\n", count / elapsed,
              (cpu_seconds() - cpu_before) / count * 1e6);
  return count > 0 ? 0 : 1;
}
