// backlog-bench: what a queue of millions costs.
//
// Each step runs in a process of its own, which ends without a farewell: the next one starts after a kill -9. In one
// run: appends on an empty store, filling it, starting with cold and with warm caches, appends on top of the backlog,
// draining it in order as the forwarder does, and the space that is given back.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>

#include "net/event_loop.h"
#include "net/timers.h"
#include "spool/spool.h"

namespace twinspool {
namespace {

constexpr std::size_t kBodyBytes = 200;

struct Plan {
  std::string directory;
  std::size_t rows = 0;
  std::size_t twins = 0;
  bool held = false;
};

double seconds_since(TimePoint begun) { return std::chrono::duration<double>(monotonic_now() - begun).count(); }

std::uint64_t number_in(const char* file, const std::string& wanted) {
  std::ifstream in(file);
  std::string key;
  while (in >> key)
    if (key == wanted) {
      std::uint64_t number = 0;
      in >> number;
      return number;
    }
  return 0;
}
double resident_mib() { return static_cast<double>(number_in("/proc/self/status", "VmRSS:")) / 1024; }
std::uint64_t bytes_written() { return number_in("/proc/self/io", "write_bytes:"); }
// Of the drain: where pages were read in large folios (Linux 6.16 and newer), write_bytes counts the whole folio for
// each page that is written. The disk's own count agrees with this one.
std::uint64_t bytes_given_to_writes() { return number_in("/proc/self/io", "wchar:"); }

class Messages {  // random ids, as senders make them
 public:
  explicit Messages(std::size_t twins) : twins_(twins), random_(std::random_device{}()) {}
  Telemetry next() {
    const std::uint64_t high = random_(), low = random_();
    char id[40];
    std::snprintf(id, sizeof id, "%08x-%04x-4%03x-8%03x-%012llx", static_cast<unsigned>(high >> 32),
                  static_cast<unsigned>(high >> 16) & 0xffff, static_cast<unsigned>(high >> 4) & 0xfff,
                  static_cast<unsigned>(low >> 52) & 0xfff, static_cast<unsigned long long>(low & 0xffffffffffff));
    Telemetry telemetry{.twin = "sensor-" + std::to_string(random_() % twins_),
                        .message_id = id,
                        .source_time = "2026-01-02T03:04:05.678Z",
                        .body = R"({"temperature":21.5,"text":")"};
    telemetry.body.append(kBodyBytes - telemetry.body.size() - 2, 'x').append("\"}");
    return telemetry;
  }

 private:
  std::size_t twins_;
  std::mt19937_64 random_;
};

std::unique_ptr<Spool> open_spool(const Plan& plan, net::EventLoop& loop) {
  StoreConfig config;
  config.path = plan.directory + "/queue.db";
  config.max_size = 0;
  auto spool = Spool::open(config, loop);
  if (spool) return std::move(*spool);
  std::fprintf(stderr, "backlog-bench: %s\n", spool.error().what.c_str());
  std::exit(1);
}

double append(Spool& spool, net::EventLoop& loop, Messages& messages, std::size_t in_flight, std::size_t count) {
  std::size_t sent = 0, stored = 0;
  std::function<void()> send = [&] {
    if (sent == count) return;
    ++sent;
    spool.append(messages.next(), [&](const auto& answer) {
      ENSURE(answer);
      if (++stored == count) loop.stop();
      send();
    });
  };
  const TimePoint begun = monotonic_now();
  for (std::size_t client = 0; client < in_flight; ++client) send();
  loop.run();
  return static_cast<double>(count) / seconds_since(begun);
}

void measure_appends(const char* where, const Plan& plan) {
  net::EventLoop loop;
  const auto spool = open_spool(plan, loop);
  Messages messages(plan.twins);
  for (const auto& [in_flight, count] : {std::pair<std::size_t, std::size_t>{1, 2000}, {64, 100'000}, {512, 300'000}}) {
    const std::uint64_t before = bytes_written();
    const double rate = append(*spool, loop, messages, in_flight, count);
    std::printf("appends %-10s %4zu in flight  %9.0f/s  %6.0f bytes written each\n", where, in_flight, rate,
                static_cast<double>(bytes_written() - before) / static_cast<double>(count));
    std::fflush(stdout);
  }
  std::_Exit(0);
}

void fill(const Plan& plan) {
  net::EventLoop loop;
  const auto spool = open_spool(plan, loop);
  Messages messages(plan.twins);
  const double rate = append(*spool, loop, messages, 4096, plan.rows);
  std::printf("filled with %zu rows of %zu twins  %9.0f/s  resident %.1f MiB\n", plan.rows, plan.twins, rate,
              resident_mib());
  std::fflush(stdout);
  std::_Exit(0);
}

void drop_caches(const Plan& plan) {
  for (const auto& file : std::filesystem::directory_iterator(plan.directory)) {
    const int descriptor = ::open(file.path().c_str(), O_RDONLY | O_CLOEXEC);
    ::fsync(descriptor);
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    ::close(descriptor);
  }
}

void stop_cleanly(const Plan& plan) {
  net::EventLoop loop;
  const auto spool = open_spool(plan, loop);
  spool->flush_and_close([&] { loop.stop(); });
  loop.run();
}

void start(const Plan& plan, bool cold, const char* after) {
  if (cold) drop_caches(plan);
  const std::uint64_t read_before = number_in("/proc/self/io", "read_bytes:");
  net::EventLoop loop;
  const TimePoint begun = monotonic_now();
  const auto spool = open_spool(plan, loop);
  const double took = seconds_since(begun);
  Messages messages(plan.twins);
  append(*spool, loop, messages, 1, 1);
  std::printf(
      "start %-5s after a %s  ready in %.3f s, first message stored at %.3f s, %.1f MiB read, resident %.1f MiB\n",
      cold ? "cold" : "warm", after, took, seconds_since(begun),
      static_cast<double>(number_in("/proc/self/io", "read_bytes:") - read_before) / (1 << 20), resident_mib());
  std::fflush(stdout);
  std::_Exit(0);
}

// In order, as the forwarder does. With `held`, the twins with odd numbers hold: their rows are passed over once, and
// the second pass finds them.
class Drain {
 public:
  explicit Drain(const Plan& plan) : plan_(plan), spool_(open_spool(plan, loop_)) {}

  void run() {
    const std::uint64_t all = spool_->stats().queued_messages;
    part_ = std::max<std::uint64_t>(1, all / 10);
    begun_ = monotonic_now();
    written_before_ = bytes_given_to_writes();
    commits_before_ = spool_->stats().commits;
    spool_->on_unrecorded_fell([this] { read_more(); });
    pass("drain", all, plan_.held);
    if (plan_.held) pass("drain of those held", all, false);
    give_back();
  }

 private:
  void pass(const char* name, std::uint64_t all, bool held) {
    name_ = name;
    all_ = all;
    held_ = held;
    after_ = 0;
    done_ = 0;
    read_more();
    loop_.run();
  }

  void read_more() {
    if (reading_ || spool_->stats().unrecorded > 4096) return;  // goes on when they are recorded
    reading_ = true;
    spool_->read({.after = after_, .messages_max = 1024}, [this](Result<ReadResult> result) {
      reading_ = false;
      ENSURE(result);
      after_ = result->scanned_through;
      for (const Message& message : result->messages) {
        if (held_ && message.twin % 2 == 1) continue;
        spool_->finish({.sequence = message.sequence, .status = 204});
        if (++done_ % part_ == 0) print();
      }
      if (result->reached_end) return loop_.stop();
      read_more();
    });
  }

  void print() {
    const std::uint64_t commits = spool_->stats().commits;
    std::printf(
        "%s %3.0f %%  %9.0f/s  %5.0f bytes written each, resident %.1f MiB, %.0f a commit\n", name_,
        100.0 * static_cast<double>(done_) / static_cast<double>(all_),
        static_cast<double>(part_) / seconds_since(begun_),
        static_cast<double>(bytes_given_to_writes() - written_before_) / static_cast<double>(part_), resident_mib(),
        static_cast<double>(part_) / static_cast<double>(std::max<std::uint64_t>(1, commits - commits_before_)));
    std::fflush(stdout);
    begun_ = monotonic_now();
    written_before_ = bytes_given_to_writes();
    commits_before_ = commits;
  }

  double file_mib() const {
    return static_cast<double>(std::filesystem::file_size(plan_.directory + "/queue.db")) / (1 << 20);
  }

  // An idle spool gives the pages of the drained backlog back.
  void give_back() {
    const double before = file_mib();
    begun_ = monotonic_now();
    double last = 0;
    for (int quiet = 0; quiet < 8;) {  // seconds without a change
      net::Timer second(loop_.timers(), [this] { loop_.stop(); });
      second.set_after(std::chrono::seconds(1));
      loop_.run();
      quiet = file_mib() == last ? quiet + 1 : 0;
      last = file_mib();
    }
    std::printf("idle: the file went from %.0f to %.0f MiB within %.0f s\n", before, last, seconds_since(begun_) - 8);
    spool_->flush_and_close([this] { loop_.stop(); });
    loop_.run();
    std::printf("drained: %llu left\n", static_cast<unsigned long long>(spool_->stats().queued_messages));
    std::fflush(stdout);
    std::_Exit(0);
  }

  const Plan& plan_;
  net::EventLoop loop_;
  std::unique_ptr<Spool> spool_;
  const char* name_ = "";
  std::uint64_t all_ = 0, part_ = 1, done_ = 0, written_before_ = 0, commits_before_ = 0;
  bool held_ = false, reading_ = false;
  Sequence after_ = 0;
  TimePoint begun_{};
};

void in_a_process(const std::function<void()>& step) {
  const pid_t child = ::fork();
  ENSURE(child >= 0);
  if (child == 0) {
    step();
    std::_Exit(0);
  }
  int status = 0;
  ENSURE(::waitpid(child, &status, 0) == child);
  if (status != 0) std::exit(1);
}

}  // namespace
}  // namespace twinspool

int main(int argc, char** argv) {
  using namespace twinspool;
  Plan plan{.directory = ".", .rows = 10'000'000, .twins = 10'000};
  CLI::App app("Measures a spool with a backlog of millions: appends, starts, the drain.");
  app.add_option("--directory", plan.directory, "Where the store is made, and removed again: a disk with 6 GiB free")
      ->check(CLI::ExistingDirectory);
  app.add_option("--rows", plan.rows, "Of the backlog")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--twins", plan.twins, "They are of so many twins")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_flag("--held", plan.held, "Half of the twins hold while the others drain");
  CLI11_PARSE(app, argc, argv);
  const std::string own = plan.directory + "/backlog-bench-" + std::to_string(::getpid());
  const auto fresh = [&](const char* name) {
    Plan made = plan;
    made.directory = own + "/" + name;
    std::filesystem::create_directories(made.directory);
    return made;
  };
  const Plan empty = fresh("empty"), full = fresh("full");
  in_a_process([&] { measure_appends("empty", empty); });
  in_a_process([&] { fill(full); });
  in_a_process([&] { start(full, true, "kill"); });
  in_a_process([&] { start(full, false, "kill"); });
  in_a_process([&] { stop_cleanly(full); });
  in_a_process([&] { start(full, true, "stop"); });
  in_a_process([&] { measure_appends("on top", full); });
  in_a_process([&] { Drain(full).run(); });
  std::filesystem::remove_all(own);
  return 0;
}
