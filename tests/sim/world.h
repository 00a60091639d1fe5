// A gateway from one seed: the daemon's own local API, spool, forwarder and token source on one thread, with a disk in
// memory (crash/posix.h), and around them applications, a faulty cloud, a faulty issuer of tokens and a clock that
// jumps. The same seed gives the same run.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "crash/disk.h"
#include "crash/gateway.h"
#include "crash/posix.h"
#include "forward/forwarder.h"
#include "forward/token.h"
#include "ingest/ingest_server.h"
#include "sim/application.h"
#include "sim/faulty_cloud.h"
#include "sim/issuer.h"
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
  std::vector<std::string> violations();

  std::size_t acknowledged() const { return oracle_.acknowledged_count(); }
  // Messages sent, answered, committed, asked for and answered by the cloud and the issuer, operations of the disk, and
  // steps.
  std::uint64_t events() const { return events_ + 2 * (cloud_.requests() + issuer_.requests()) + disk_.recorded(); }

 private:
  class SimDialer;

  int number(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool chance(int percent) { return number(1, 100) <= percent; }
  std::string random_twin() { return "twin-" + std::to_string(number(1, kTwins)); }
  WallTime wall() const { return from_unix_ms(clocks_.wall_ms); }

  void send(int messages);
  void change_disk();
  void end_disk_faults();
  void jump_clock();
  void settle();  // commits and turns until nothing moves without time
  void pass(Duration time);
  void commit();
  void check_figures();
  void violated(std::string what) { violations_.push_back(std::move(what)); }

  // The daemon, in world_daemon.cpp. It is not up where its disk does not let it start: then it is tried again.
  bool up() const { return spool_ != nullptr; }
  void start();
  void start_forwarder();
  void stop_forwarder();
  void crash();
  void crash_amid_writes();
  void cut_power();
  void restart_cleanly();
  void reload();
  void end_daemon();
  std::set<std::string> queued_ids();
  std::set<std::string> quarantined_ids();
  std::unique_ptr<net::Stream> connect_application();

  static constexpr int kTwins = 12;
  static constexpr int kApplications = 3;  // one with forward.order queue

  std::mt19937_64 random_;
  TempDir dir_;  // of the secret
  StoreConfig store_config_;
  ForwardConfig forward_config_;
  AuthConfig auth_config_;
  net::EventLoop loop_;
  crash::Clocks clocks_;
  crash::Disk disk_;
  crash::Mounted mounted_;
  crash::Image durable_;      // what the last power cut left
  std::size_t first_op_ = 0;  // of the disk, since then
  Oracle oracle_;
  FaultyCloud cloud_;
  Issuer issuer_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<ingest::IngestServer> server_;
  std::unique_ptr<forward::TokenSource> tokens_;
  std::unique_ptr<SimDialer> dialer_;
  std::unique_ptr<forward::Forwarder> forwarder_;
  std::vector<std::unique_ptr<Application>> applications_;
  std::uint64_t sent_count_ = 0;
  std::uint64_t events_ = 0;
  bool disk_is_faulty_ = false;
  bool unrecorded_ = true;  // deliveries of the daemon that ended last
  bool paused_ = false;
  std::vector<std::string> violations_;
};

}  // namespace twinspool::sim
