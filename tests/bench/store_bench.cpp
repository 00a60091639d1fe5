// store-bench: what the spool costs beside the disk it stands on.
//
// For each number of appends in flight, in one run: raw appends with an fdatasync per batch of as many, then the same
// messages through a Spool with its writer thread on a real loop: one by one, appended only and then also delivered,
// and as batches (the next is made while one is committed). Medians of three rounds, in which raw and spool take turns,
// because a shared disk changes its mind.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "net/event_loop.h"
#include "spool/spool.h"

namespace twinspool {
namespace {

constexpr std::size_t kRounds = 3;
constexpr std::size_t kTwins = 100;
constexpr std::size_t kMessageBytes = 300;

enum class Way { append, append_and_deliver, batch };

struct Load {
  std::size_t in_flight = 0;
  std::size_t messages = 0;
};

struct Measured {
  double rate = 0;               // messages/s
  double bytes_per_message = 0;  // written, as the kernel counts them for this process
  double per_commit = 0;
};

std::uint64_t bytes_written() {
  std::ifstream io("/proc/self/io");
  std::string key;
  std::uint64_t number = 0;
  while (io >> key >> number)
    if (key == "write_bytes:") return number;
  return 0;
}

class Stopwatch {
 public:
  Measured stop(std::size_t messages, std::size_t commits) const {
    const double seconds = std::chrono::duration<double>(monotonic_now() - begun_).count();
    const auto count = static_cast<double>(messages);
    return {.rate = count / seconds, .per_commit = count / static_cast<double>(std::max<std::size_t>(1, commits))};
  }

 private:
  TimePoint begun_ = monotonic_now();
};

Telemetry message(std::size_t number) {
  Telemetry telemetry{.twin = "sensor-" + std::to_string(number % kTwins),
                      .message_id = "5f0c6e2a-0d5b-4b7e-9c1d-" + std::to_string(100'000'000'000 + number),
                      .source_time = "2026-01-02T03:04:05.678Z",
                      .body = R"({"temperature":21.5,"text":")"};
  const std::size_t texts =
      telemetry.twin.size() + telemetry.message_id.size() + telemetry.source_time.size() + telemetry.body.size() + 2;
  telemetry.body.append(kMessageBytes - texts, 'x').append("\"}");
  return telemetry;
}

Measured run_raw(const std::string& path, const Load& load) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0640);
  ENSURE(file >= 0);
  const std::string batch(load.in_flight * kMessageBytes, 'x');
  const Stopwatch watch;
  for (std::size_t sent = 0; sent < load.messages; sent += load.in_flight)
    ENSURE(::write(file, batch.data(), batch.size()) == static_cast<ssize_t>(batch.size()) && ::fdatasync(file) == 0);
  const Measured measured = watch.stop(load.messages, load.messages / load.in_flight);
  ::close(file);
  ENSURE(::unlink(path.c_str()) == 0);
  return measured;
}

// As many clients as are in flight, each of which sends its next message when it is answered. The rate is that of the
// appends; the bytes include recording, checkpoints and the clean stop. First every twin is named once, uncounted: a
// gateway has the same twins for years.
Measured run_spool(const std::string& path, const Load& load, Way way) {
  net::EventLoop loop;
  StoreConfig config;
  config.path = path;
  auto opened = Spool::open(config, loop);
  if (!opened) {
    std::fprintf(stderr, "store-bench: %s\n", opened.error().what.c_str());
    std::exit(1);
  }
  Spool& spool = **opened;
  std::size_t sent = 0;
  std::size_t stored = 0;
  const bool deliver = way == Way::append_and_deliver;
  const std::size_t together = way == Way::batch ? load.in_flight : 1;
  const std::size_t senders = way == Way::batch ? 2 : load.in_flight;
  if (deliver)
    spool.on_committed([&](std::vector<Message>&& messages) {
      for (const Message& one : messages) spool.finish({.sequence = one.sequence, .status = 204});
    });
  std::size_t wanted = kTwins;
  std::function<void()> send = [&] {
    std::vector<Telemetry> batch;
    while (batch.size() < together && sent < wanted) batch.push_back(message(sent++));
    if (batch.empty()) return;
    spool.append_batch(std::move(batch), [&](const auto& answer) {
      ENSURE(answer && !answer->front().duplicate);
      stored += answer->size();
      if (stored == wanted) loop.stop();
      send();
    });
  };
  const auto run = [&] {
    for (std::size_t sender = 0; sender < senders; ++sender) send();
    loop.run();
  };
  run();
  wanted += load.messages;
  const std::uint64_t commits_before = spool.stats().commits;
  const std::uint64_t written_before = bytes_written();
  const Stopwatch watch;
  run();
  Measured measured = watch.stop(load.messages, spool.stats().commits - commits_before);
  spool.flush_and_close([&] { loop.stop(); });
  loop.run();
  ENSURE(spool.stats().delivered == (deliver ? wanted : 0));
  measured.bytes_per_message =
      static_cast<double>(bytes_written() - written_before) / static_cast<double>(load.messages);
  return measured;
}

double median(std::array<double, kRounds> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[kRounds / 2];
}

void compare(const std::string& directory, const Load& load) {
  std::array<double, kRounds> raw{}, appended{}, delivered{}, ratio{}, per_commit{}, append_bytes{}, life_bytes{};
  std::array<double, kRounds> batched{}, batch_ratio{};
  for (std::size_t round = 0; round < kRounds; ++round) {
    raw[round] = run_raw(directory + "/raw", load).rate;
    const auto run = [&](const std::string& name, Way way) {
      std::filesystem::create_directory(directory + "/" + name);
      const Measured measured = run_spool(directory + "/" + name + "/queue.db", load, way);
      std::filesystem::remove_all(directory + "/" + name);
      return measured;
    };
    const Measured append = run("append", Way::append);
    const Measured life = run("life", Way::append_and_deliver);
    batched[round] = run("batch", Way::batch).rate;
    batch_ratio[round] = batched[round] / raw[round];
    appended[round] = append.rate;
    ratio[round] = append.rate / raw[round];
    per_commit[round] = append.per_commit;
    append_bytes[round] = append.bytes_per_message;
    delivered[round] = life.rate;
    life_bytes[round] = life.bytes_per_message;
  }
  std::printf("%9zu %12.0f %12.0f %6.2f %10.1f %10.0f %14.0f %10.0f %11.0f %6.2f\n", load.in_flight, median(raw),
              median(appended), median(ratio), median(per_commit), median(append_bytes), median(delivered),
              median(life_bytes), median(batched), median(batch_ratio));
  std::fflush(stdout);
}

}  // namespace
}  // namespace twinspool

int main(int argc, char** argv) {
  using twinspool::Load;
  std::string directory = ".";
  double scale = 1;
  CLI::App app("Measures the spool beside raw appends of the same bytes, in messages of 300 bytes.");
  app.add_option("--directory", directory, "Where the store is made, and removed again (a disk, not a tmpfs)")
      ->check(CLI::ExistingDirectory);
  app.add_option("--scale", scale, "Multiplies how many messages are sent")->check(CLI::PositiveNumber);
  std::vector<std::size_t> only;
  app.add_option("--in-flight", only, "Only these numbers of appends in flight");
  CLI11_PARSE(app, argc, argv);

  const std::string own = directory + "/store-bench-" + std::to_string(::getpid());
  std::filesystem::create_directory(own);
  std::printf(
      "in flight    raw msg/s  append msg/s  ratio per commit  bytes/msg  +deliver msg/s  bytes/msg batch msg/s  "
      "ratio\n");
  for (const Load& load : {Load{1, 10'000}, Load{8, 16'000}, Load{64, 96'000}, Load{512, 256'000}}) {
    if (!only.empty() && std::find(only.begin(), only.end(), load.in_flight) == only.end()) continue;
    const auto batches = static_cast<std::size_t>(static_cast<double>(load.messages / load.in_flight) * scale);
    twinspool::compare(own, {load.in_flight, std::max<std::size_t>(1, batches) * load.in_flight});
  }
  std::filesystem::remove_all(own);
  return 0;
}
