// A workload: what applications, the cloud and operators do to a store, recorded with what they know of it at each
// moment.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "crash/gateway.h"
#include "crash/oracle.h"

namespace twinspool::crash {

// What was done to a disk, and what the world knew meanwhile.
struct Recording {
  Image durable;        // at the beginning
  Oracle oracle;        // at the beginning
  std::vector<Op> ops;  // of the disk
  std::vector<Event> events;
  Oracle::Rules rules;
  StoreConfig config;
  Clocks clocks;  // at the end
};

struct Plants {  // faults of ours that must be found
  bool acknowledge_early = false;
  Disk::Lies lies = {};
};

class Run {
 public:
  explicit Run(StoreConfig config = Gateway::plain_config(), Image durable = {}, Plants plants = {});

  void start();
  bool try_start();  // false: it refuses
  void stop();
  void kill() { gateway_.kill(); }
  void pass(std::int64_t ms) { gateway_.clocks().pass(ms); }

  // `count` messages of several twins and sizes in one commit; those that are acknowledged are noted.
  void send(int count, std::size_t body_bytes = 0);
  void deliver(int count);  // the oldest that are not finished, recorded at once
  void finish(int count);   // the same, recorded some time
  void quarantine();        // the oldest that is not finished
  void settle();
  // What operators do with all that was delivered and kept, or with all of the quarantine.
  void recall(const Recall& order);

  // What happened so far is durable, and not part of the recording.
  void begin_recording();
  // The power goes, and with it whatever was not synced. What follows is the recording.
  void cut_power();
  Recording recording(const Oracle::Rules& rules = {}) const;

  Gateway& gateway() { return gateway_; }
  Disk& disk() { return disk_; }
  std::size_t refused() const { return refused_; }
  const Oracle& now() const { return now_; }

 private:
  void note(Event event);
  void note_committed(Event event);
  void note_recorded();
  void commit();
  void finish_oldest(int count, Finished::How how);
  void acknowledged(const std::string& id, Sequence sequence);

  Disk disk_;
  Gateway gateway_;
  const StoreConfig config_;
  const Plants plants_;
  Image durable_;
  Oracle at_begin_, now_;
  std::size_t first_op_ = 0;
  std::size_t round_ = 0;  // operations before this commit
  std::vector<Event> events_;
  std::size_t sent_ = 0;
  std::size_t refused_ = 0;
  std::set<Sequence> waiting_;        // acknowledged, not finished
  std::vector<Sequence> unrecorded_;  // finished in this life
};

Telemetry message(std::size_t number, std::size_t body_bytes = 0);

}  // namespace twinspool::crash
