// ingest-bench: messages a second and the time to a 204 over the Unix socket, beside what the same server reaches with
// the store switched off and what the disk alone does in the same batch sizes, in one run. The figures of different
// machines are compared by their ratios.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "ingest/ingest_server.h"
#include "net/event_loop.h"
#include "ops/load.h"
#include "spool/spool.h"
#include "util/json.h"
#include "util/log.h"

// A slow disk for SQLite and for the raw appends alike: a sync takes at least so long. The program's own definition
// wins over libc's.
std::atomic<std::int64_t> sync_takes_us = 0;

namespace {
int slowly(long call, int descriptor) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(sync_takes_us);
  const auto result = static_cast<int>(::syscall(call, descriptor));
  std::this_thread::sleep_until(until);
  return result;
}
}  // namespace
extern "C" int fdatasync(int descriptor) { return slowly(SYS_fdatasync, descriptor); }
extern "C" int fsync(int descriptor) { return slowly(SYS_fsync, descriptor); }

namespace {

using namespace twinspool;
using Seconds = std::chrono::duration<double>;

struct Figures {
  double per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
  double p999_us = 0;
};

Figures figures_of(double messages, const ops::Latencies& latencies, double seconds) {
  const auto at = [&](double part) { return static_cast<double>(latencies.quantile(part)); };
  return {.per_second = messages / seconds, .p50_us = at(0.5), .p99_us = at(0.99), .p999_us = at(0.999)};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Figures median_of(const std::vector<Figures>& rounds) {
  const auto of = [&](double Figures::*member) {
    std::vector<double> values;
    for (const Figures& figures : rounds) values.push_back(figures.*member);
    return median(values);
  };
  return {.per_second = of(&Figures::per_second),
          .p50_us = of(&Figures::p50_us),
          .p99_us = of(&Figures::p99_us),
          .p999_us = of(&Figures::p999_us)};
}

// The floor: `together` messages are appended to a file, then one fdatasync. Figures are of the messages, latencies of
// the syncs.
Figures raw_appends(const std::string& path, std::size_t body_bytes, std::size_t together, Seconds time) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  ENSURE(descriptor >= 0);
  const std::string batch(body_bytes * together, 'x');
  ops::Latencies latencies;
  const TimePoint start = monotonic_now();
  while (monotonic_now() - start < time) {
    const TimePoint began = monotonic_now();
    ENSURE(::write(descriptor, batch.data(), batch.size()) == static_cast<ssize_t>(batch.size()));
    ENSURE(::fdatasync(descriptor) == 0);
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(monotonic_now() - began);
    latencies.add(static_cast<std::uint64_t>(took.count()));
  }
  const Seconds elapsed = monotonic_now() - start;
  ::close(descriptor);
  ::unlink(path.c_str());
  return figures_of(static_cast<double>(latencies.count() * together), latencies, elapsed.count());
}

Figures load(const ops::LoadOptions& options) {
  const Result<ops::LoadReport> report = ops::run_load(options);
  if (!report || !report->refused.empty()) {
    std::fprintf(stderr, "ingest-bench: %s\n", report ? report->first_refusal.c_str() : report.error().what.c_str());
    std::abort();
  }
  return figures_of(static_cast<double>(report->messages), report->latencies, report->seconds);
}

struct NothingStored final : http::Server::Handler {
  std::optional<http::Response> on_head(const http::Request&, const net::PeerCredentials&,
                                        std::size_t& body_bytes_max) override {
    body_bytes_max = 4 * 1024 * 1024;
    return std::nullopt;
  }
  void on_request(http::ExchangeId exchange, http::Request&&, const net::PeerCredentials&) override {
    server->respond(exchange, {.status = 204, .headers = {{"Twinspool-Sequence", "1"}}, .body = ""});
  }
  http::Response on_fault(int status, const std::string&) override {
    return {.status = status, .headers = {}, .body = ""};
  }
  http::Server* server = nullptr;
};

// Runs `work` here while `serve`, on a thread of its own, sets up a server and turns its loop.
void with_server(const std::function<void(net::EventLoop&, std::function<void()> ready)>& serve,
                 const std::function<void()>& work) {
  std::promise<net::Waker*> ready;
  std::thread thread([&] {
    net::EventLoop loop;
    net::Waker stop(loop, [&] { loop.stop(); });
    serve(loop, [&] { ready.set_value(&stop); });
  });
  net::Waker* stop = ready.get_future().get();
  work();
  stop->wake();
  thread.join();
}

void serve_without_store(net::EventLoop& loop, const std::string& socket, const std::function<void()>& ready) {
  NothingStored handler;
  http::Server server(loop, {}, handler);
  handler.server = &server;
  auto listener = net::Listener::listen_unix(
      loop, {.path = socket, .mode = 0600, .group = ""},
      [&](std::unique_ptr<net::Stream> stream, net::PeerCredentials peer) { server.add(std::move(stream), peer); });
  ENSURE(listener.has_value());
  server.adopt(std::move(*listener));
  ready();
  loop.run();
}

void serve_with_store(net::EventLoop& loop, const std::string& socket, const std::string& database,
                      const std::function<void()>& ready) {
  StoreConfig store;
  store.path = database;
  const std::vector<ListenConfig> sockets = {{.path = socket, .mode = 0600, .group = ""}};
  auto spool = Spool::open(store, loop, Spool::Writer::thread, {}, ingest::IngestServer::sources_of(sockets));
  if (!spool) {
    std::fprintf(stderr, "ingest-bench: %s\n", spool.error().what.c_str());
    std::abort();
  }
  net::InheritedSockets inherited;
  auto server = ingest::IngestServer::listen(loop, sockets, {}, **spool, inherited);
  ENSURE(server.has_value());
  ready();
  loop.run();
}

struct Scenario {
  const char* name;
  std::size_t clients = 1, in_flight = 1, batch = 0;
  std::int64_t sync_us = 0;  // a simulated disk
  double rate = 0;
};

constexpr Scenario kScenarios[] = {
    {.name = "1 client"},
    {.name = "8 clients", .clients = 8},
    {.name = "64 clients", .clients = 64},
    {.name = "512 clients", .clients = 512},
    {.name = "64 clients, 16 pipelined", .clients = 64, .in_flight = 16},
    {.name = "8 clients, batch of 100", .clients = 8, .batch = 100},
    {.name = "8 clients, sync of 5 ms", .clients = 8, .sync_us = 5000},
    {.name = "64 clients, sync of 5 ms", .clients = 64, .sync_us = 5000},
    {.name = "64 clients, 5000/s", .clients = 64, .in_flight = 16, .rate = 5000},
};

struct Measured {
  Figures raw, none, stored;
};

Measured measure(const Scenario& scenario, const std::filesystem::path& directory, Seconds time,
                 std::size_t body_bytes) {
  static int databases = 0;
  const std::string database = directory / ("queue-" + std::to_string(++databases) + ".db");
  ops::LoadOptions options{.socket = directory / "bench.sock",
                           .clients = scenario.clients,
                           .in_flight = scenario.in_flight,
                           .batch = scenario.batch,
                           .body_bytes = body_bytes,
                           .duration = std::chrono::duration_cast<Duration>(time),
                           .rate = scenario.rate};
  // At a given rate the syncs are of what comes meanwhile: about one message.
  const std::size_t together =
      scenario.rate > 0 ? 1 : scenario.clients * scenario.in_flight * std::max<std::size_t>(1, scenario.batch);
  sync_takes_us = scenario.sync_us;
  Measured measured;
  measured.raw = raw_appends(directory / "raw", body_bytes, together, time);
  with_server([&](net::EventLoop& loop, const auto& ready) { serve_without_store(loop, options.socket, ready); },
              [&] { measured.none = load(options); });
  with_server([&](net::EventLoop& loop, const auto& ready) { serve_with_store(loop, options.socket, database, ready); },
              [&] { measured.stored = load(options); });
  sync_takes_us = 0;
  std::error_code ignored;
  std::filesystem::remove(database, ignored);
  std::filesystem::remove(database + "-wal", ignored);
  return measured;
}

void write_figures(json::Writer& out, const char* name, const Figures& figures) {
  out.key(name).begin_object().key("messages_per_second").number(figures.per_second);
  out.key("p50_us").number(figures.p50_us).key("p99_us").number(figures.p99_us).key("p99.9_us").number(figures.p999_us);
  out.end_object();
}

std::string run(const std::filesystem::path& directory, Seconds time, std::size_t body_bytes, int rounds,
                const std::string& only) {
  std::printf("%zu-byte bodies, medians of %d rounds of %.1f s each; times in ms\n\n", body_bytes, rounds,
              time.count());
  std::printf("%-25s %9s %6s | %9s %6s %6s %6s | %9s | %6s %6s\n", "", "raw/s", "sync", "stored/s", "p50", "p99",
              "p99.9", "no store", "of raw", "of none");
  json::Writer out;
  out.begin_object().key("body_bytes").integer(static_cast<std::int64_t>(body_bytes));
  out.key("rounds").integer(rounds).key("seconds").number(time.count()).key("scenarios").begin_array();
  for (const Scenario& scenario : kScenarios) {
    if (std::string_view(scenario.name).find(only) == std::string_view::npos) continue;
    std::vector<Figures> raws, nones, storeds;
    std::vector<double> of_raw, of_none;  // of one round each: the machine's moods cancel out
    for (int round = 0; round < rounds; ++round) {
      const Measured measured = measure(scenario, directory, time, body_bytes);
      raws.push_back(measured.raw);
      nones.push_back(measured.none);
      storeds.push_back(measured.stored);
      of_raw.push_back(measured.stored.per_second / measured.raw.per_second);
      of_none.push_back(measured.stored.per_second / measured.none.per_second);
    }
    const Figures raw = median_of(raws), none = median_of(nones), stored = median_of(storeds);
    std::printf("%-25s %9.0f %6.2f | %9.0f %6.2f %6.2f %6.2f | %9.0f | %6.2f %6.2f\n", scenario.name, raw.per_second,
                raw.p50_us / 1000, stored.per_second, stored.p50_us / 1000, stored.p99_us / 1000, stored.p999_us / 1000,
                none.per_second, median(of_raw), median(of_none));
    std::fflush(stdout);
    out.begin_object().key("name").string(scenario.name);
    write_figures(out, "raw", raw);
    write_figures(out, "no_store", none);
    write_figures(out, "stored", stored);
    out.key("of_raw").number(median(of_raw)).key("of_no_store").number(median(of_none)).end_object();
  }
  out.end_array().end_object();
  return out.take();
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("Durable ingest over HTTP, beside the disk alone and the HTTP server alone.");
  std::string directory = ".";
  double seconds = 3;
  std::size_t body_bytes = 300;
  int rounds = 3;
  std::string only;
  app.add_option("--dir", directory, "where the database goes: a directory on the disk to measure")
      ->capture_default_str();
  app.add_option("--seconds", seconds, "for each figure")->capture_default_str();
  app.add_option("--rounds", rounds, "of which the medians are taken")->capture_default_str()->check(CLI::Range(1, 99));
  app.add_option("--body", body_bytes, "bytes of a message's body")->capture_default_str();
  app.add_option("--only", only, "only the scenarios whose name has this in it");
  CLI11_PARSE(app, argc, argv);

  std::string own = directory + "/ingest-bench-XXXXXX";
  if (::mkdtemp(own.data()) == nullptr) {
    std::fprintf(stderr, "ingest-bench: cannot make a directory in %s\n", directory.c_str());
    return 1;
  }
  log::set_level(log::Level::warn);
  const std::string results = run(own, Seconds(seconds), body_bytes, rounds, only);
  std::error_code ignored;
  std::filesystem::remove_all(own, ignored);
  if (const char* folder = std::getenv("TWINSPOOL_RESULTS")) {
    const std::string path = std::string(folder) + "/ingest.json";
    std::ofstream(path) << results << "\n";
    std::printf("\nwritten to %s\n", path.c_str());
  }
  return 0;
}
