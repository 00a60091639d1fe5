#include "ops/selftest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "net/event_loop.h"
#include "ops/admin_call.h"
#include "ops/latencies.h"
#include "ops/sockets.h"
#include "ops/status_view.h"
#include "ops/store_path.h"
#include "ops/text.h"
#include "spool/spool.h"
#include "util/json.h"
#include "util/log.h"

namespace twinspool::ops {

namespace {

constexpr std::array<std::size_t, 3> kInFlight = {1, 8, 64};
constexpr std::size_t kBlockBytes = 4096;
constexpr std::size_t kFileBlocks = 256;
constexpr std::size_t kMessageBytes = 300;  // what messages of sensors commonly weigh
constexpr double kSecondsPerDay = 86400;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// Removed with all that is in it.
class Scratch {
 public:
  explicit Scratch(const std::string& beside) : path_(beside + "/selftest." + std::to_string(getpid())) {}
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(Scratch&&) = delete;
  Result<void> make() const {
    if (mkdir(path_.c_str(), 0700) == 0) return {};
    return fail(Errc::invalid,
                path_ + " cannot be made: " + std::strerror(errno) +
                    ": run it as the daemon's user (sudo -u twinspool), or name another directory of the "
                    "same disk with --directory");
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::uint64_t bytes_written() {
  std::ifstream io("/proc/self/io");
  std::string key;
  std::uint64_t number = 0;
  while (io >> key >> number)
    if (key == "write_bytes:") return number;
  return 0;
}

// Blocks of a file that has its size already, as a write-ahead log has it most of the time.
Result<Latencies> time_syncs(const std::string& path, Duration time) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return fail(Errc::storage, path + " cannot be made: " + std::strerror(errno));
  const std::string block(kBlockBytes, 'x');
  Latencies latencies;
  bool worked = true;
  const auto put = [&](std::size_t index) {
    return pwrite(file, block.data(), block.size(), static_cast<off_t>(index * kBlockBytes)) ==
           static_cast<ssize_t>(kBlockBytes);
  };
  for (std::size_t i = 0; i < kFileBlocks; ++i) worked = worked && put(i);
  worked = worked && fsync(file) == 0;
  const TimePoint until = monotonic_now() + time;
  for (std::size_t i = 0; worked && monotonic_now() < until; ++i) {
    const TimePoint before = monotonic_now();
    worked = put(i % kFileBlocks) && fdatasync(file) == 0;
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(monotonic_now() - before);
    latencies.add(static_cast<std::uint64_t>(took.count()));
  }
  const int error = errno;
  close(file);
  if (!worked) return fail(Errc::storage, "a write to " + path + " failed: " + std::strerror(error));
  return latencies;
}

Telemetry message(std::size_t number) {
  Telemetry telemetry{.twin = "selftest-" + std::to_string(number % 100),
                      .message_id = fmt::format("5f0c6e2a-0d5b-4b7e-9c1d-{:012}", number),
                      .source_time = "2026-01-02T03:04:05.678Z",
                      .body = R"({"temperature":21.5,"text":")"};
  telemetry.body.append(kMessageBytes - telemetry.body.size() - 100, 'x').append("\"}");
  return telemetry;
}

// So many clients, each of which sends its next message when it has its answer; all is delivered at once.
Result<StorageRate> time_spool(const std::string& path, std::size_t in_flight, Duration time) {
  net::EventLoop loop;
  StoreConfig config;
  config.path = path;
  config.min_free = 0;
  auto spool = Spool::open(config, loop);
  if (!spool) return tl::unexpected(spool.error());
  (*spool)->on_committed([&spool](std::vector<Message>&& messages) {
    for (const Message& one : messages) (*spool)->finish({.sequence = one.sequence, .status = 204});
  });
  std::size_t sent = 0, stored = 0, waiting = 0;
  std::string refused;
  const std::uint64_t written = bytes_written();
  const TimePoint begun = monotonic_now();
  TimePoint last = begun;
  std::function<void()> send = [&] {
    if (!refused.empty() || monotonic_now() - begun >= time) {
      if (waiting == 0) loop.stop();
      return;
    }
    ++waiting;
    (*spool)->append(message(sent++), [&](const auto& answer) {
      --waiting;
      if (answer) {
        ++stored;
        last = monotonic_now();
      } else {
        refused = answer.error().what;
      }
      send();
    });
  };
  for (std::size_t client = 0; client < in_flight; ++client) send();
  loop.run();
  (*spool)->flush_and_close([&loop] { loop.stop(); });
  loop.run();
  if (!refused.empty() || stored == 0) return fail(Errc::storage, "the test's messages were refused: " + refused);
  return StorageRate{.in_flight = in_flight,
                     .messages_per_second = static_cast<double>(stored) / seconds(last - begun),
                     .bytes_per_message = static_cast<double>(bytes_written() - written) / static_cast<double>(stored)};
}

std::string as_json(const StorageReport& report, const Wear& wear) {
  json::Writer out;
  out.begin_object()
      .key("directory")
      .string(report.directory)
      .key("syncs")
      .integer(static_cast<std::int64_t>(report.syncs));
  out.key("sync_p50_ms").number(report.sync_p50_ms).key("sync_p99_ms").number(report.sync_p99_ms);
  out.key("rates").begin_array();
  for (const StorageRate& rate : report.rates) {
    out.begin_object().key("in_flight").integer(static_cast<std::int64_t>(rate.in_flight));
    out.key("messages_per_second").number(rate.messages_per_second);
    out.key("bytes_per_message").number(rate.bytes_per_message).end_object();
  }
  out.end_array().key("wear").begin_object().key("messages_per_second").number(wear.rate);
  out.key("bytes_per_message").number(wear.bytes_per_message);
  out.key("bytes_per_day").number(wear.bytes_per_day).end_object().end_object();
  return out.take() + "\n";
}

double present_rate(const std::string& admin_socket) {
  const auto status = try_status(admin_socket);
  return status ? StatusView(status->document).number("forecast.arrivals_per_second") : 0;
}

}  // namespace

Wear wear_at(double rate, const StorageReport& report) {
  Wear wear{.rate = rate};
  if (report.rates.empty()) return wear;
  // As many come in during one sync, and share the next: the measured figure for at most so many counts.
  const double together = rate * report.sync_p50_ms / 1000;
  wear.bytes_per_message = report.rates.front().bytes_per_message;
  for (const StorageRate& measured : report.rates)
    if (static_cast<double>(measured.in_flight) <= together) wear.bytes_per_message = measured.bytes_per_message;
  wear.bytes_per_day = rate * kSecondsPerDay * wear.bytes_per_message;
  return wear;
}

std::string render_storage(const StorageReport& report, const Wear& wear, bool json) {
  if (json) return as_json(report, wear);
  std::string text = fmt::format("{}: a sync takes {:.2f} ms (p50), {:.2f} ms (p99); {} were timed\n\n",
                                 report.directory, report.sync_p50_ms, report.sync_p99_ms, grouped(report.syncs));
  text += "under way   stored and delivered   written for each\n";
  for (const StorageRate& rate : report.rates)
    text +=
        fmt::format("{:>9}   {:>16}/s   {:>17}\n", rate.in_flight,
                    grouped(static_cast<std::uint64_t>(rate.messages_per_second)), human_bytes(rate.bytes_per_message));
  if (wear.rate <= 0) return text + "\nNothing comes in now: --rate N says what N messages a second wear off.\n";
  return text + fmt::format("\nAt {:.4g} messages/s about {} a day are written to the disk, {} for each.\n", wear.rate,
                            human_bytes(wear.bytes_per_day), human_bytes(wear.bytes_per_message));
}

Result<StorageReport> measure_storage(const std::string& directory, Duration each) {
  const Scratch scratch(directory);
  if (Result<void> made = scratch.make(); !made) return tl::unexpected(made.error());
  StorageReport report{.directory = directory};
  const Result<Latencies> syncs = time_syncs(scratch.file("syncs"), each);
  if (!syncs) return tl::unexpected(syncs.error());
  report.syncs = syncs->count();
  report.sync_p50_ms = static_cast<double>(syncs->quantile(0.5)) / 1000;
  report.sync_p99_ms = static_cast<double>(syncs->quantile(0.99)) / 1000;
  for (const std::size_t in_flight : kInFlight) {
    const Result<StorageRate> rate = time_spool(scratch.file(fmt::format("queue-{}.db", in_flight)), in_flight, each);
    if (!rate) return tl::unexpected(rate.error());
    report.rates.push_back(*rate);
  }
  return report;
}

ExitCode run_storage_test(const StorageTestOptions& options) {
  const auto say = [](const std::string& what) {
    std::fprintf(stderr, "twinspool: %s\n", what.c_str());
    return kFailed;
  };
  std::string directory = options.directory;
  if (directory.empty()) {
    const Result<std::string> store = find_store("", options.config);
    if (!store) return say(store.error().what);
    directory = std::filesystem::path(*store).parent_path().string();
  }
  log::set_level(log::Level::error);  // what the spool logs of its own start is not the answer
  const Result<StorageReport> report = measure_storage(directory, options.each);
  if (!report) return say(report.error().what);
  double rate = options.rate;
  if (rate <= 0) {
    const auto sockets =
        find_sockets({.config = options.config, .message_socket = {}, .admin_socket = options.admin_socket});
    if (sockets) rate = present_rate(sockets->admin);
  }
  std::fputs(render_storage(*report, wear_at(rate, *report), options.json).c_str(), stdout);
  return kDone;
}

}  // namespace twinspool::ops
