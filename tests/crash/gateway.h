// One process after the other on one disk: the real spool, started, used, stopped or killed, with clocks in our hand.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crash/disk.h"
#include "crash/oracle.h"
#include "crash/posix.h"
#include "spool/spool.h"

namespace twinspool::crash {

struct Clocks {
  std::int64_t uptime_ms = 1'000'000;
  std::int64_t wall_ms = 1'780'000'000'000;
  int boot = 1;

  SpoolClocks get();
  void pass(std::int64_t ms) {
    uptime_ms += ms;
    wall_ms += ms;
  }
  void reboot();
};

class Gateway {
 public:
  Gateway(Disk& disk, Clocks clocks, StoreConfig config);
  ~Gateway();  // kills
  Gateway(Gateway&&) = delete;

  static StoreConfig plain_config();
  static std::string queue_path();

  Result<void> start();
  bool running() const { return spool_ != nullptr; }
  void stop();  // cleanly
  void kill();  // -9

  // Until nothing is to be done without time; then, where the store does not take messages, with it.
  void settle();
  bool commit();  // once

  Result<std::vector<Message>> read_all();
  Result<Found> look();  // settles before
  tl::expected<Receipt, Refused> append(const Telemetry& message);

  Spool& spool() { return *spool_; }
  Clocks& clocks() { return clocks_; }
  Disk& disk() { return disk_; }

 private:
  void turn();

  Disk& disk_;
  Mounted mounted_;
  Clocks clocks_;
  const StoreConfig config_;
  std::unique_ptr<Spool> spool_;
};

// Once: what the daemon says in its log would be said a million times here; and memory is kept.
void prepare_process();

}  // namespace twinspool::crash
