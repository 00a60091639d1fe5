// A store whose files were altered anywhere, opened by the real code on a disk in memory (tests/crash): it starts, or
// refuses and changes nothing; whatever it gives for delivery is what was accepted, to the byte, each once and in
// order, before and after what lies in the quarantine was put back; its figures reconcile; and it takes messages in.
//
// The input says how the machine went down, and what was done to the files: see Damage.
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "crash/gateway.h"
#include "spool/page_file.h"
#include "spool/sqlite.h"
#include "util/error.h"

namespace {

using namespace twinspool;
using namespace twinspool::crash;

constexpr int kMessages = 60;

Telemetry original(int number) {
  Telemetry message{.twin = "twin-" + std::to_string(number % 4),
                    .message_id = "id-" + std::to_string(number),
                    .source_time = "2026-01-02T03:04:05.678Z",
                    .body = "{\"n\":" + std::to_string(number) + ",\"pad\":\"" + std::string(100, 'x') + "\"}"};
  if (number % 3 == 0) message.component = "motor";
  if (number % 5 == 0) message.traceparent = "00-" + std::to_string(number);
  if (number % 20 == 0) message.body = "{\"long\":\"" + std::string(9000, 'y') + "\"}";  // overflow pages
  return message;
}

// A store that was killed: most of it is in the database, the rest in the WAL; some were delivered and kept, one is in
// the quarantine.
struct Seed {
  Seed() {
    prepare_process();
    Disk disk{Image{}};
    Gateway gateway(disk, clocks, config());
    ENSURE(gateway.start());
    for (int i = 1; i <= kMessages; ++i) {
      gateway.spool().append(
          original(i), [i](const auto& receipt) { ENSURE(receipt && receipt->sequence == static_cast<Sequence>(i)); });
      if (i % 5 == 0) gateway.commit();
      if (i != kMessages * 2 / 3) continue;
      gateway.spool().finish({.sequence = 1, .status = 204});
      gateway.spool().finish({.sequence = 2, .how = Finished::How::quarantined, .status = 400, .error_message = "no"});
      gateway.settle();
      gateway.stop();
      empty_wal();
      ENSURE(gateway.start());
    }
    gateway.settle();
    gateway.kill();
    clocks = gateway.clocks();
    image = disk.image();
    database = *image.find("queue.db");
    wal = *image.find("queue.db-wal");
  }
  // What stays in the WAL hides the database's pages from every reader.
  static void empty_wal() {
    auto database = sqlite::Database::open(Gateway::queue_path(), sqlite::Database::Mode::read_write);
    ENSURE(database && database->execute("PRAGMA wal_checkpoint(TRUNCATE)"));
  }
  static StoreConfig config() {
    StoreConfig config = Gateway::plain_config();
    config.keep_delivered = std::chrono::hours(1);
    return config;
  }
  Image image;
  Clocks clocks;
  NodeId database = 0, wal = 0;
};

// Steps of 4 bytes: what, with how many bytes, and where. Bytes to write follow.
class Damage {
 public:
  Damage(const Seed& seed, Image& image) : seed_(seed), image_(image) {}

  void apply(const std::uint8_t* data, std::size_t size) {
    const std::uint8_t* const end = data + size;
    while (end - data >= 4) {
      const std::uint8_t what = data[0];
      const auto where = static_cast<std::uint64_t>(data[1] | data[2] << 8 | data[3] << 16);
      data += 4;
      Content& file = image_.node(what % 2 == 0 ? seed_.database : seed_.wal).content;
      const auto count = std::min<std::size_t>(what / 8, static_cast<std::size_t>(end - data));
      if (file.size() == 0) continue;
      switch (what / 2 % 4) {
        case 0:
        case 1: {
          const std::uint64_t at = where % file.size();
          const std::size_t room = std::min<std::uint64_t>(count, file.size() - at);
          file.write(at, {reinterpret_cast<const char*>(data), room});
          data += count;
          break;
        }
        case 2:
          file.resize(where % file.size());
          break;
        case 3:
          copy_page(file, where % 4096, where / 4096);
          break;
      }
    }
  }

 private:
  // A write that went to another place than it should have.
  static void copy_page(Content& file, std::uint64_t from, std::uint64_t to) {
    const std::uint64_t pages = std::max<std::uint64_t>(file.size() / kPageBytes, 1);
    std::string page(kPageBytes, '\0');
    page.resize(file.read(from % pages * kPageBytes, page.data(), page.size()));
    file.write(to % pages * kPageBytes, page);
  }
  const Seed& seed_;
  Image& image_;
};

void check_rows(const std::vector<Message>& rows) {
  for (const Message& message : rows) {
    const std::string& id = message.telemetry.message_id;
    ENSURE(id.starts_with("id-"));
    const int number = std::stoi(id.substr(3));
    ENSURE(number >= 1 && number <= kMessages && message.telemetry == original(number));
  }
}

void check_order(const std::vector<Message>& rows) {
  Sequence last = 0;
  for (const Message& message : rows) {
    ENSURE(message.sequence > last);
    last = message.sequence;
  }
}

// Before anything was put back: a store that lost its end gives sequences again.
void check_sequences(const std::vector<Message>& rows) {
  for (const Message& message : rows) ENSURE(message.telemetry.message_id == "id-" + std::to_string(message.sequence));
}

void check_figures(const SpoolStats& s) {
  ENSURE(s.fault.empty());
  ENSURE(s.accepted == s.queued_messages + s.delivered + s.quarantined + s.dropped);
}

std::vector<Message> read_all(Gateway& gateway) {
  for (int again = 0; again < 3; ++again) {  // damage may be found while reading: then anew, on what was salvaged
    gateway.settle();
    const std::string before = gateway.spool().stats().degraded;
    Result<std::vector<Message>> rows = gateway.read_all();
    if (rows) check_rows(*rows);
    gateway.settle();
    if (rows && gateway.spool().stats().degraded == before) return std::move(*rows);
  }
  ENSURE(false);
}

void put_quarantine_back(Gateway& gateway) {
  std::optional<Result<Recalled>> answer;
  gateway.spool().recall({.what = Recall::What::retry},
                         [&](Result<Recalled> recalled) { answer = std::move(recalled); });
  for (int commits = 0; commits < 100 && !answer; ++commits) gateway.commit();
  ENSURE(answer);
}

}  // namespace

// A store is 100 KiB of memory that comes and goes: to keep all that was freed for a while costs more than it finds.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=8"; }

// The fuzzer sees both sides of comparisons and writes them into the next input: in time it would forge a checksum,
// which is there to tell damage, not intent.
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  static std::string option = "-use_cmp=0";
  static std::vector<char*> all(*arguments, *arguments + *count);
  all.push_back(option.data());
  all.push_back(nullptr);
  *count = static_cast<int>(all.size()) - 1;
  *arguments = all.data();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Seed seed;
  if (size == 0) return 0;
  Image image = seed.image;
  Damage(seed, image).apply(data + 1, size - 1);
  const std::uint64_t damaged = image.node(seed.database).content.hash();

  Clocks clocks = seed.clocks;
  if (data[0] % 2 == 0) clocks.reboot();  // else: killed
  Disk disk{image};
  Gateway gateway(disk, clocks, Seed::config());
  seed_random(1);
  if (const Result<void> started = gateway.start(); !started) {
    ENSURE(started.error().code == Errc::invalid && !started.error().what.empty());
    ENSURE(disk.image().node(seed.database).content.hash() == damaged);
    return 0;
  }
  const std::vector<Message> found = read_all(gateway);
  check_order(found);
  check_sequences(found);
  check_figures(gateway.spool().stats());

  put_quarantine_back(gateway);
  check_order(read_all(gateway));
  const Telemetry fresh{.twin = "twin-after", .message_id = "after", .body = "{}"};
  if (!gateway.append(fresh)) {  // damage that only this meets: 503, and salvage
    gateway.settle();
    ENSURE(gateway.append(fresh));
  }
  gateway.settle();
  const Result<std::vector<Message>> rows = gateway.read_all();
  ENSURE(rows && !rows->empty() && rows->back().telemetry == fresh);
  check_figures(gateway.spool().stats());
  return 0;
}
