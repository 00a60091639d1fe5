#include "crash/gateway.h"

#include <malloc.h>
#include <sqlite3.h>

#include <cstdio>
#include <optional>

#include "crash/memory.h"
#include "spool/sqlite.h"
#include "util/log.h"

namespace twinspool::crash {
namespace {

constexpr int kSlicesMax = 5000;
constexpr std::int64_t kRetryMs = 60'000;  // longer than a store waits before it tries to recover again
constexpr int kRetries = 8;

net::EventLoop& loop() {
  static net::EventLoop one{net::EventLoop::Clock::manual};
  return one;
}

Result<std::vector<Message>> read_quarantine(sqlite::Database& database) {
  Result<sqlite::Statement> row = database.prepare(
      "SELECT q.sequence, t.name, coalesce(c.name, ''), q.message_id, q.source_time, q.traceparent, q.tracestate, "
      "q.body FROM quarantined_messages q LEFT JOIN twins t ON t.number = q.twin LEFT JOIN components c ON c.number = "
      "q.component ORDER BY q.sequence");
  if (!row) return tl::unexpected(row.error());
  std::vector<Message> all;
  for (;;) {
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) return all;
    const auto text = [&](int column) { return std::string(row->text(column)); };
    all.push_back({.sequence = static_cast<Sequence>(row->integer(0)),
                   .telemetry = {text(1), text(2), text(3), text(4), text(5), text(6), text(7)}});
  }
}

}  // namespace

void prepare_process() {
  static const bool once = [] {
    // Thousands of stores a second come and go: memory that the kernel takes back each time costs a quarter of it all.
    wrap_sqlite_memory();
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
    ::mallopt(M_TOP_PAD, 64 << 20);
    ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
    if (std::getenv("TWINSPOOL_CRASH_LOG") != nullptr) return true;
    std::FILE* const before = stderr;
    stderr = std::fopen("/dev/null", "w");  // the log keeps the stream that it finds; everybody else has the real one
    log::set_up(log::Level::error, log::Format::text, "");
    stderr = before;
    return true;
  }();
  (void)once;
}

SpoolClocks Clocks::get() {
  return SpoolClocks{[this] { return uptime_ms; }, [this] { return wall_ms; }, [] { return true; },
                     "boot-" + std::to_string(boot)};
}

void Clocks::reboot() {
  ++boot;
  uptime_ms = 20'000;
  wall_ms += 30'000;
}

Gateway::Gateway(Disk& disk, Clocks clocks, StoreConfig config)
    : disk_(disk), mounted_(disk), clocks_(clocks), config_(std::move(config)) {}

Gateway::~Gateway() { kill(); }

std::string Gateway::queue_path() { return std::string(kMount) + "/queue.db"; }

StoreConfig Gateway::plain_config() {
  StoreConfig config;
  config.path = queue_path();
  config.min_free = 0;
  return config;
}

Result<void> Gateway::start() {
  Result<std::unique_ptr<Spool>> opened = Spool::open(config_, loop(), Spool::Writer::none, clocks_.get());
  if (!opened) return tl::unexpected(opened.error());
  spool_ = std::move(*opened);
  return {};
}

void Gateway::turn() {
  for (int i = 0; i < 2; ++i) loop().run_turn();
}

void Gateway::stop() {
  spool_.reset();
  turn();
}

void Gateway::kill() {
  disk_.freeze();
  spool_.reset();
  turn();
  disk_.thaw();
}

bool Gateway::commit() {
  const bool any = spool_->commit_batch();
  turn();
  return any;
}

void Gateway::settle() {
  for (int retry = 0; retry < kRetries; ++retry) {
    for (int slice = 0; slice < kSlicesMax && commit(); ++slice) {
    }
    if (spool_->stats().fault.empty()) return;
    clocks_.pass(kRetryMs);
  }
}

Result<std::vector<Message>> Gateway::read_all() {
  std::vector<Message> all;
  ReadRequest request;
  for (int slice = 0; slice < kSlicesMax; ++slice) {
    std::optional<Result<ReadResult>> answer;
    spool_->read(request, [&](Result<ReadResult> given) { answer = std::move(given); });
    for (int retry = 0; retry < kRetries && !answer; ++retry) {
      if (retry > 0) clocks_.pass(kRetryMs);
      settle();
    }
    if (!answer) return fail(Errc::timeout, "a read is not answered: " + spool_->stats().fault);
    if (!*answer) return tl::unexpected((*answer).error());
    for (Message& message : (*answer)->messages) all.push_back(std::move(message));
    if ((*answer)->reached_end) return all;
    request.after = (*answer)->scanned_through;
  }
  return fail(Errc::timeout, "reading does not come to its end");
}

Result<Found> Gateway::look() {
  settle();
  Found found;
  Result<std::vector<Message>> queued = read_all();
  if (!queued) return tl::unexpected(queued.error());
  found.queued = std::move(*queued);
  commit();  // what it found damaged, and the figures of now
  found.stats = spool_->stats();
  Result<sqlite::Database> reader = sqlite::Database::open(queue_path(), sqlite::Database::Mode::read_only);
  if (!reader) return tl::unexpected(reader.error());
  Result<std::vector<Message>> quarantined = read_quarantine(*reader);
  if (!quarantined) return tl::unexpected(quarantined.error());
  found.quarantined = std::move(*quarantined);
  Result<std::string> integrity = reader->text("PRAGMA integrity_check(1)");
  if (!integrity) return tl::unexpected(integrity.error());
  found.integrity = std::move(*integrity);
  return found;
}

tl::expected<Receipt, Refused> Gateway::append(const Telemetry& message) {
  std::optional<tl::expected<Receipt, Refused>> answer;
  spool_->append(message, [&](auto given) { answer = std::move(given); });
  commit();
  if (!answer) return tl::unexpected(Refused{Refusal::storage, "no answer"});
  return *answer;
}

}  // namespace twinspool::crash
