// The daemon's own spool and forwarder, a faulty cloud, and an application, on one thread, from one seed: the same seed
// gives the same run. The store is the real one on a real file; a crash keeps what was on disk and nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "forward/forwarder.h"
#include "sim/faulty_cloud.h"
#include "sim/oracle.h"
#include "spool/spool.h"
#include "support/temp_dir.h"

namespace twinspool::sim {

class World {
 public:
  struct Settings {
    ForwardOrder order = ForwardOrder::twin;
    std::uint32_t pipeline = 1;
    RateConfig rate;
  };
  World(std::uint64_t seed, const Settings& settings);
  ~World();

  void step();  // one thing happens: an application sends, a commit, time, weather, a pause, a reload, a crash, ...
  void heal();  // all faults end, and the world runs until the queue is empty or a virtual day has passed

  // Everything that was found wrong, at the end also what is missing. Empty: the promise held.
  std::vector<std::string> violations() const;

  std::size_t acknowledged() const { return oracle_.acknowledged_count(); }
  std::size_t crashes() const { return crashes_; }

 private:
  class SimDialer;

  int number(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool chance(int percent) { return number(1, 100) <= percent; }
  std::string random_twin() { return "twin-" + std::to_string(number(1, kTwins)); }

  void start();
  void crash();
  void restart_cleanly();
  void reload();
  void start_forwarder();
  void stop_forwarder();
  void settle();  // commits and turns until nothing moves without time
  void pass(Duration time);
  void send(int messages);
  void append(const Telemetry& telemetry);
  void check_figures();
  std::set<std::string> queued_ids();

  static constexpr int kTwins = 12;

  std::mt19937_64 random_;
  TempDir dir_;
  StoreConfig store_config_;
  ForwardConfig forward_config_;
  net::EventLoop loop_;
  WallTime wall_;
  std::int64_t uptime_ms_ = 1'000;
  int boots_ = 1;
  Oracle oracle_;
  FaultyCloud cloud_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<forward::TokenSource> tokens_;
  std::unique_ptr<SimDialer> dialer_;
  std::unique_ptr<forward::Forwarder> forwarder_;
  std::uint64_t generation_ = 0;           // of the daemon; a callback of an earlier one is dead
  std::vector<Telemetry> unacknowledged_;  // in the order in which they were sent
  std::uint64_t sent_count_ = 0;
  std::size_t crashes_ = 0;
  bool paused_ = false;
  std::vector<std::string> violations_;
};

}  // namespace twinspool::sim
