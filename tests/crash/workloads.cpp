#include "crash/workloads.h"

#include <algorithm>
#include <cerrno>

#include "spool/schema.h"
#include "spool/sqlite.h"
#include "util/error.h"

namespace twinspool::crash {
namespace {

// The first start, schema and all; then one message a commit.
Recording one_by_one(const Plants& plants) {
  Run run(Gateway::plain_config(), {}, plants);
  run.begin_recording();
  run.start();
  for (int i = 0; i < 15; ++i) {
    run.send(1);
    if (i % 4 == 3) run.deliver(2);
    if (i == 9) run.quarantine();
  }
  run.stop();
  return run.recording();
}

void use(Run& run) {
  for (int i = 0; i < 12; ++i) {
    run.finish(i % 3);
    run.send(4 + i % 5);
    if (i % 4 == 1) run.deliver(4);
    if (i % 5 == 2) run.quarantine();
  }
}

Recording batches(const Plants& plants) {
  Run run(Gateway::plain_config(), {}, plants);
  run.start();
  run.begin_recording();
  use(run);
  run.deliver(100);
  run.send(3);
  run.stop();
  return run.recording();
}

// Checkpoints, kills and starts within the boot.
Recording lives(const Plants& plants) {
  Run run(Gateway::plain_config(), {}, plants);
  run.start();
  run.begin_recording();
  for (int life = 0; life < 3; ++life) {
    run.send(6);
    run.deliver(2);
    run.send(5);
    run.stop();
    run.start();
    run.send(3);
    run.finish(2);
    run.kill();
    run.start();
    run.send(4);
    run.quarantine();
  }
  run.stop();
  return run.recording();
}

// The first cut leaves the frame behind the last commit, which fills its sector, incomplete.
Recording power_cuts(const Plants& plants) {
  Run run(Gateway::plain_config(), {}, plants);
  run.start();
  run.send(6);
  run.cut_power();
  run.start();
  run.send(3);
  run.deliver(2);
  run.send(1);
  return run.recording();
}

Recording retention(const Plants& plants) {
  StoreConfig config = Gateway::plain_config();
  config.max_messages = 25;
  config.when_full = WhenFull::drop_oldest;
  config.max_age = std::chrono::minutes(5);
  Run run(config, {}, plants);
  run.start();
  run.begin_recording();
  for (int i = 0; i < 10; ++i) {
    run.send(5 + i % 4);
    run.deliver(i % 3);
  }
  run.pass(310'000);
  run.settle();
  run.send(8);
  run.stop();
  return run.recording({.drops = true});
}

// The disk is full now and then: the WAL is copied into the file and begins anew, and what left the queue is recorded.
Recording full_disk(const Plants& plants) {
  Run run(Gateway::plain_config(), {}, plants);
  run.start();
  run.send(10);
  run.begin_recording();
  for (int time = 0; time < 4; ++time) {
    run.send(5);
    run.deliver(1);
    int refusals = 2;
    run.disk().set_faults([&](Disk::Call call, const std::string& name) {
      return Disk::Answer{call == Disk::Call::write && name.ends_with("-wal") && refusals-- == 1 ? ENOSPC : 0};
    });
    run.finish(2);
    run.send(2);
    run.disk().set_faults({});
    run.pass(20'000);
    run.settle();
    run.send(4);
  }
  run.stop();
  return run.recording();
}

// Large bodies, until the WAL is copied into the file while the store runs, twice.
Recording checkpoints(const Plants& plants) {
  Run run(Gateway::plain_config(), {}, plants);
  run.start();
  for (int i = 0; i < 11; ++i) run.send(10, 30'000);
  run.begin_recording();
  for (int i = 0; i < 3; ++i) run.send(5, 30'000);
  run.deliver(40);
  run.send(5);
  return run.recording();
}

// Much has left the queue, and others leave little room on the disk: the file gives its pages back, what is on its last
// ones moves to the front, and it shrinks.
Recording giving_back(const Plants& plants) {
  StoreConfig config = Gateway::plain_config();
  config.min_free = 64 * kMiB;
  Run run(config, {}, plants);
  run.start();
  for (int i = 0; i < 6; ++i) run.send(10, 30'000);
  run.deliver(50);
  run.stop();
  run.start();
  const auto file_bytes = [&] { return run.disk().image().node(*run.disk().image().find("queue.db")).content.size(); };
  const std::uint64_t before = file_bytes(), free = run.disk().free_bytes();
  run.begin_recording();
  run.disk().set_free_bytes(config.min_free / 2);
  run.pass(1'000);
  run.send(1);
  run.settle();
  ENSURE(run.refused() == 1 && file_bytes() < before);
  run.disk().set_free_bytes(free);
  run.pass(20'000);
  run.send(3);
  run.deliver(2);
  run.stop();
  return run.recording();
}

// Page 1 is gone, so the rows go into a new file; none of them was on it.
Recording salvage(const Plants& plants) {
  Run run(Gateway::plain_config(), {}, plants);
  run.start();
  run.send(20);
  run.deliver(3);
  run.quarantine();
  run.stop();
  Image& image = run.disk().image_to_damage();
  image.node(kRoot).entries.erase("queue.db-wal");
  image.node(*image.find("queue.db")).content.write(0, std::string(kBlockBytes, '\xa5'));
  run.begin_recording();
  run.start();
  run.send(4);
  run.settle();
  run.send(4);
  run.deliver(5);
  run.quarantine();
  run.stop();
  return run.recording({.may_be_degraded = true});
}

// A sync fails, so the rows go into a new file; then the next one does.
Recording rebuild(const Plants& plants) {
  Run run(Gateway::plain_config(), {}, plants);
  run.start();
  run.send(12);
  run.deliver(2);
  run.begin_recording();
  for (int time = 0; time < 2; ++time) {
    run.send(4);
    run.finish(2);
    bool failed = false;
    run.disk().set_faults([&](Disk::Call call, const std::string& name) {
      const bool fails = call == Disk::Call::sync && name.ends_with("-wal") && !std::exchange(failed, true);
      return Disk::Answer{fails ? EIO : 0};
    });
    run.send(3);
    run.settle();
    run.disk().set_faults({});
    run.send(4);
    run.deliver(3);
    run.quarantine();
  }
  run.stop();
  return run.recording({.may_be_degraded = true});
}

// The file as the first version left it: its views, and figures that a clean stop has written.
void make_first_version(const std::string& path) {
  auto first = sqlite::Database::open(":memory:", sqlite::Database::Mode::read_write);
  auto database = sqlite::Database::open(path, sqlite::Database::Mode::read_write);
  ENSURE(first && database && first->execute(migrations().front()));
  for (const std::string view : {"sources", "summary"}) {
    const Result<std::string> as_then = first->text("SELECT sql FROM sqlite_schema WHERE name = '" + view + "'");
    ENSURE(as_then && database->execute("DROP VIEW " + view) && database->execute(*as_then));
  }
  ENSURE(database->execute("PRAGMA user_version = 1") && database->checkpoint());
}

Recording migration(const Plants& plants) {
  const StoreConfig config = Gateway::plain_config();
  Run run(config, {}, plants);
  run.start();
  run.send(20);
  run.deliver(3);
  run.quarantine();
  run.stop();
  make_first_version(config.path);
  run.begin_recording();
  run.start();
  run.send(4);
  run.deliver(2);
  run.stop();
  run.start();
  run.send(2);
  return run.recording();
}

// Operators put back what was delivered and kept, and what was refused, or throw it away; what is kept grows old.
Recording operators(const Plants& plants) {
  StoreConfig config = Gateway::plain_config();
  config.keep_delivered = std::chrono::hours(1);
  Run run(config, {}, plants);
  run.start();
  run.send(20);
  run.deliver(7);
  run.quarantine();
  run.begin_recording();
  run.quarantine();
  run.recall({.what = Recall::What::retry});
  run.send(3);
  run.recall({.what = Recall::What::replay, .twin = "twin-1"});
  run.deliver(2);
  run.quarantine();
  run.recall({.what = Recall::What::purge});
  run.stop();
  run.start();
  run.recall({.what = Recall::What::replay, .twin = "twin-2"});
  run.pass(3'700'000);
  run.send(4);
  run.deliver(3);
  run.kill();
  run.start();
  run.quarantine();
  run.recall({.what = Recall::What::retry});
  run.send(2);
  run.stop();
  return run.recording();
}

const std::vector<Workload> kWorkloads = {
    {"one_by_one", one_by_one, 15}, {"batches", batches, 14},        {"lives", lives, 14},
    {"operators", operators, 7},    {"power_cuts", power_cuts, 5},   {"retention", retention, 11},
    {"salvage", salvage, 11},       {"rebuild", rebuild, 10},        {"full_disk", full_disk, 10},
    {"migration", migration, 7},    {"checkpoints", checkpoints, 1}, {"giving_back", giving_back, 1},
};

}  // namespace

const std::vector<Workload>& workloads() { return kWorkloads; }

const Workload& workload(const std::string& name) {
  const auto found =
      std::find_if(kWorkloads.begin(), kWorkloads.end(), [&](const Workload& one) { return one.name == name; });
  ENSURE(found != kWorkloads.end());
  return *found;
}

}  // namespace twinspool::crash
