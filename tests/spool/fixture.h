// A spool on a real file with clocks, disk faults and commits in the test's hand.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/event_loop.h"
#include "spool/spool.h"
#include "spool/sqlite.h"
#include "support/temp_dir.h"

namespace twinspool {

// What SQLite's writes and syncs do in this process, until the object goes.
class DiskFaults {
 public:
  DiskFaults();
  ~DiskFaults();
  DiskFaults(DiskFaults&&) = delete;
  void fail_syncs(bool failing);
  void fill_up(bool full);
  void no_room(bool full);     // only what a file has allocated can be written
  std::size_t writes() const;  // counted in all files
};

inline Telemetry telemetry(const std::string& twin, const std::string& id, const std::string& body = "{\"t\":1}") {
  return Telemetry{.twin = twin, .message_id = id, .source_time = "2026-01-02T03:04:05.678Z", .body = body};
}

struct TestClocks {
  std::int64_t uptime_ms = 1'000'000;
  std::int64_t wall_ms = 1'780'000'000'000;
  bool synced = true;
  std::string boot = "boot-one";

  SpoolClocks get() {
    return SpoolClocks{[this] { return uptime_ms; }, [this] { return wall_ms; }, [this] { return synced; }, boot};
  }
  void pass(std::int64_t ms) {
    uptime_ms += ms;
    wall_ms += ms;
  }
};

// All that a store keeps, but the -shm, the lock and the reserve.
inline void copy_store(const TempDir& from, const TempDir& to) {
  using std::filesystem::copy_options;
  for (const auto& entry : std::filesystem::directory_iterator(from.path())) {
    const std::string name = entry.path().filename();
    if (name.ends_with("-shm") || name.ends_with(".lock") || name.ends_with(".reserve")) continue;
    std::filesystem::copy(entry.path(), to.path() / name, copy_options::recursive | copy_options::copy_symlinks);
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(to.path()))
    if (entry.path().string().ends_with("-shm")) std::filesystem::remove(entry.path());
}

class TestSpool {
 public:
  using Answer = tl::expected<Receipt, Refused>;

  TestSpool() {
    config.path = dir.file("queue.db");
    config.min_free = 0;
  }

  Result<void> try_open() {
    Result<std::unique_ptr<Spool>> opened = Spool::open(config, loop, Spool::Writer::none, clocks.get(), sources);
    if (!opened) return tl::unexpected(opened.error());
    spool = std::move(*opened);
    spool->on_committed([this](std::vector<Message>&& messages) {
      for (Message& message : messages) committed.push_back(std::move(message));
    });
    return {};
  }
  void open() {
    const Result<void> opened = try_open();
    ENSURE(opened);
  }
  void close() { spool.reset(); }
  void reopen() {
    close();
    open();
  }

  // The files as a kill -9 at this moment would leave them.
  void kill() {
    const TempDir image;
    copy_store(dir, image);
    close();
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) std::filesystem::remove_all(entry.path());
    copy_store(image, dir);
  }
  void crash() {
    kill();
    open();
  }

  bool commit() {
    const bool any = spool->commit_batch();
    settle();
    return any;
  }
  void settle() {
    for (int turn = 0; turn < 3; ++turn) loop.run_turn();
  }

  Answer append(Telemetry message, Source source = kNoSource) {
    std::optional<Answer> answer;
    spool->append(source, std::move(message), [&](Answer given) { answer = std::move(given); });
    commit();
    ENSURE(answer);
    return *answer;
  }
  tl::expected<std::vector<Receipt>, Refused> append_batch(std::vector<Telemetry> messages, Source source = kNoSource) {
    std::optional<tl::expected<std::vector<Receipt>, Refused>> answer;
    spool->append_batch(source, std::move(messages), [&](auto given) { answer = std::move(given); });
    commit();
    ENSURE(answer);
    return *answer;
  }
  void deliver(Sequence sequence) {
    spool->finish({.sequence = sequence, .how = Finished::How::delivered, .status = 204});
    commit();
  }
  void quarantine(Sequence sequence) {
    spool->finish({.sequence = sequence,
                   .how = Finished::How::quarantined,
                   .status = 400,
                   .error_code = "ValidationFailed",
                   .error_message = "no",
                   .attempts = 3});
    commit();
  }
  Result<ReadResult> read(ReadRequest request = {}) {
    std::optional<Result<ReadResult>> answer;
    spool->read(std::move(request), [&](Result<ReadResult> given) { answer = std::move(given); });
    commit();
    ENSURE(answer);
    return std::move(*answer);
  }

  Recalled recall(Recall order) {
    std::optional<Result<Recalled>> answer;
    spool->recall(std::move(order), [&](Result<Recalled> given) { answer = std::move(given); });
    while (!answer) ENSURE(commit());
    ENSURE(*answer);
    return **answer;
  }

  // By a connection of its own, as an operator would ask.
  std::string sql(const std::string& query) {
    Result<sqlite::Database> reader = sqlite::Database::open(config.path, sqlite::Database::Mode::read_only);
    ENSURE(reader);
    const Result<std::string> text = reader->text(query);
    return text ? *text : "error: " + text.error().what;
  }
  void write_sql(const std::string& statement) {
    Result<sqlite::Database> other = sqlite::Database::open(config.path, sqlite::Database::Mode::read_write);
    ENSURE(other && other->execute(statement));
  }
  bool conserved() const {
    const SpoolStats& s = spool->stats();
    return s.accepted == s.queued_messages + s.delivered + s.quarantined + s.dropped;
  }

  TempDir dir;
  TestClocks clocks;
  StoreConfig config;
  std::vector<SourceConfig> sources;
  net::EventLoop loop{net::EventLoop::Clock::manual};
  std::unique_ptr<Spool> spool;
  std::vector<Message> committed;
};

}  // namespace twinspool
