#include "sim/world.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "support/memory_stream.h"

namespace twinspool::sim {
namespace {

constexpr std::uint32_t kConnections = 8;
constexpr auto kOnDisk = {"queue.db", "queue.db-wal", "queue.db.run"};

}  // namespace

// Connections to the cloud of this world, while the weather allows.
class World::SimDialer final : public forward::Dialer {
 public:
  SimDialer(World& world) : world_(world) {}

  std::unique_ptr<net::Pending> dial(Dialed done) override {
    auto alive = std::make_shared<bool>(true);
    world_.loop_.post([this, alive, done = std::move(done)] {
      if (!*alive) return;
      if (world_.cloud_.weather() == Weather::gone) return done(fail(Errc::unreachable, "connection refused"));
      auto [ours, theirs] = MemoryStream::pair(world_.loop_);
      // Pieces, but not so small that an answer is still on its way when the time moves on (see settle()).
      if (world_.chance(20)) ours->deliver_at_most(static_cast<std::size_t>(world_.number(16, 64)));
      world_.cloud_.accept(std::move(theirs));
      done(std::unique_ptr<net::Stream>(std::move(ours)));
    });
    // The flag outlives whichever of the two goes last.
    struct Holder final : net::Pending {
      std::shared_ptr<bool> alive;
      ~Holder() override { *alive = false; }
    };
    auto holder = std::make_unique<Holder>();
    holder->alive = std::move(alive);
    return holder;
  }

 private:
  World& world_;
};

World::World(std::uint64_t seed, const Settings& settings)
    : random_(seed),
      loop_(net::EventLoop::Clock::manual),
      wall_(from_unix_ms(1'800'000'000'000)),
      oracle_(settings.order == ForwardOrder::queue ? Oracle::Order::whole_queue : Oracle::Order::per_twin,
              kConnections * settings.pipeline + forward::kUnrecordedMax, settings.pipeline > 1),
      cloud_(loop_, seed + 1, settings.pipeline,
             {.taken = [this](const Telemetry& telemetry, bool lost) { oracle_.taken(telemetry, lost); },
              .refused = [this](const std::string& id) { oracle_.refused(id); },
              .answer_perhaps_lost = [this](const std::string& id) { oracle_.answer_perhaps_lost(id); }}) {
  store_config_.path = dir_.file("queue.db");
  store_config_.min_free = 0;
  forward_config_.endpoint = "https://cloud.invalid";
  forward_config_.order = settings.order;
  forward_config_.pipeline = settings.pipeline;
  forward_config_.rate = settings.rate;
  forward_config_.connections = kConnections;
  start();
}

World::~World() {
  forwarder_.reset();
  spool_.reset();
}

void World::start() {
  ++generation_;
  auto spool = Spool::open(store_config_, loop_, Spool::Writer::none,
                           {.uptime_ms = [this] { return uptime_ms_; },
                            .wall_ms = [this] { return to_unix_ms(wall_); },
                            .synchronized = [] { return true; },
                            .boot_id = "boot-" + std::to_string(boots_)});
  ENSURE(spool.has_value());
  spool_ = std::move(*spool);
  paused_ = false;
  start_forwarder();
}

void World::start_forwarder() {
  tokens_ = std::make_unique<forward::NoToken>();
  dialer_ = std::make_unique<SimDialer>(*this);
  forwarder_ = std::make_unique<forward::Forwarder>(
      loop_, *spool_, *dialer_, *tokens_, forward_config_,
      forward::Forwarder::Options{.seed = random_(), .wall_clock = [this] { return wall_; }});
  if (paused_) forwarder_->pause(WallTime{});
  forwarder_->start();
}

void World::step() {
  const int what = number(1, 1000);
  if (what <= 350) {
    send(number(1, 8));
  } else if (what <= 550) {
    spool_->commit_batch();
  } else if (what <= 700) {
    settle();
  } else if (what <= 850) {
    pass(std::chrono::milliseconds(number(1, 3000)));
  } else if (what <= 880) {
    pass(std::chrono::seconds(number(5, 900)));
  } else if (what <= 950) {
    cloud_.set_weather(chance(40) ? Weather::fair : static_cast<Weather>(number(0, kWeathers - 1)));
  } else if (what <= 965) {
    cloud_.delete_twin(random_twin());
  } else if (what <= 980) {
    cloud_.create_twin(random_twin());
  } else if (what <= 982) {
    forwarder_->kick();
  } else if (what <= 986) {
    paused_ = !paused_;
    if (paused_) {
      forwarder_->pause(WallTime{});
    } else {
      forwarder_->resume();
    }
  } else if (what <= 988) {
    reload();
  } else if (what <= 994) {
    crash();
  } else {
    restart_cleanly();
  }
  check_figures();
}

void World::send(int messages) {
  for (int i = 0; i < messages; ++i) {
    const std::uint64_t index = ++sent_count_;
    Telemetry telemetry{.twin = chance(50) ? "twin-1" : random_twin(),
                        .component = "",
                        .message_id = "id-" + std::to_string(index),
                        .source_time = "2027-01-15T08:00:00." + std::to_string(index) + "Z",
                        .traceparent = "",
                        .tracestate = "",
                        .body = R"({"index":)" + std::to_string(index) + (chance(3) ? R"(,"poison":true})" : "}")};
    oracle_.sent(telemetry, index);
    unacknowledged_.push_back(telemetry);
    append(telemetry);
  }
}

void World::append(const Telemetry& telemetry) {
  spool_->append(telemetry,
                 [this, id = telemetry.message_id, mine = generation_](tl::expected<Receipt, Refused> receipt) {
                   if (mine != generation_) violations_.push_back("a callback of a dead daemon ran");
                   if (!receipt) return violations_.push_back("refused: " + receipt.error().what);
                   oracle_.acknowledged(id);
                   std::erase_if(unacknowledged_, [&](const Telemetry& sent) { return sent.message_id == id; });
                 });
}

void World::pass(Duration time) {
  settle();
  loop_.advance(time);
  wall_ += std::chrono::duration_cast<std::chrono::milliseconds>(time);
  uptime_ms_ += std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  settle();
}

// The application, the store and the network do all they can do at this moment, so that no answer is still on its way
// when a request times out: then "the answer was lost" is the cloud's doing alone, and the oracle can tell.
void World::settle() {
  for (int quiet = 0; quiet < 30;) {
    loop_.run_turn();
    quiet = spool_->commit_batch() ? 0 : quiet + 1;
  }
}

// What is on disk stays: the files as they are at this moment, taken before anything that the destructors still write.
void World::crash() {
  ++crashes_;
  namespace fs = std::filesystem;
  fs::create_directory(dir_.path() / "kept");
  for (const char* name : kOnDisk) {
    if (fs::exists(dir_.path() / name)) fs::copy_file(dir_.path() / name, dir_.path() / "kept" / name);
  }
  ++generation_;
  forwarder_.reset();
  spool_.reset();
  for (const auto& entry : fs::directory_iterator(dir_.path())) {
    if (entry.is_regular_file()) fs::remove(entry.path());
  }
  for (const auto& entry : fs::directory_iterator(dir_.path() / "kept"))
    fs::rename(entry.path(), dir_.path() / entry.path().filename());
  fs::remove(dir_.path() / "kept");
  if (chance(30)) {  // a power cut rather than a kill
    uptime_ms_ = 500;
    ++boots_;
  }

  start();
  oracle_.crashed(queued_ids());
  // The application repeats what was not acknowledged, in its order, with the same ids.
  for (const Telemetry& telemetry : std::vector<Telemetry>(unacknowledged_)) append(telemetry);
}

void World::stop_forwarder() {
  settle();
  bool stopped = false;
  forwarder_->stop([&] { stopped = true; });
  for (int i = 0; i < 10 && !stopped; ++i) pass(std::chrono::seconds(1));
  if (!stopped) violations_.push_back("the forwarder did not stop");
}

// Another forwarder on the same spool, as the daemon does it.
void World::reload() {
  stop_forwarder();
  forwarder_.reset();
  start_forwarder();
  oracle_.crashed(queued_ids());  // what was in flight and cut may be sent again
}

void World::restart_cleanly() {
  stop_forwarder();
  bool closed = false;
  spool_->flush_and_close([&] { closed = true; });
  settle();
  if (!closed) violations_.push_back("the spool did not close");
  if (spool_->stats().unrecorded != 0) violations_.push_back("a clean stop left unrecorded deliveries");
  ++generation_;
  forwarder_.reset();
  spool_.reset();
  start();
  // What was in flight and cut may be sent again; nothing else.
  oracle_.crashed(queued_ids());
}

// Read straight from the store, before the forwarder has taken anything: what the next daemon finds.
std::set<std::string> World::queued_ids() {
  std::set<std::string> ids;
  Sequence after = 0;
  for (bool end = false; !end;) {
    bool answered = false;
    spool_->read({.after = after,
                  .through = UINT64_MAX,
                  .messages_max = 4096,
                  .bytes_max = 64 << 20,
                  .rows_scanned_max = 100'000,
                  .only = {}},
                 [&](Result<ReadResult> result) {
                   ENSURE(result.has_value());
                   answered = true;
                   end = result->reached_end;
                   after = result->scanned_through;
                   for (const Message& message : result->messages) ids.insert(message.telemetry.message_id);
                 });
    while (!answered) {
      spool_->commit_batch();
      loop_.run_turn();
    }
  }
  return ids;
}

void World::check_figures() {
  const SpoolStats& stats = spool_->stats();
  if (stats.accepted != stats.queued_messages + stats.delivered + stats.quarantined + stats.dropped) {
    violations_.push_back("the figures do not reconcile");
  }
  const forward::Forwarder::Stats forwarder = forwarder_->stats();
  if (forwarder.window_messages > forward::kWindowMessagesMax) violations_.push_back("the window outgrew its bound");
  if (forwarder.in_flight > std::size_t{forward_config_.connections} * forward_config_.pipeline)
    violations_.push_back("more in flight than forward.connections");
}

void World::heal() {
  cloud_.set_weather(Weather::fair);
  cloud_.create_all_twins();
  paused_ = false;
  forwarder_->resume();
  for (int minutes = 0; minutes < 24 * 60; ++minutes) {
    pass(std::chrono::minutes(1));
    if (spool_->stats().queued_messages == 0 && unacknowledged_.empty()) break;
  }
  pass(std::chrono::seconds(5));
  check_figures();
  if (const auto left = spool_->stats().queued_messages; left != 0) {
    violations_.push_back(std::to_string(left) + " messages never left the queue: " + forwarder_->stats().why);
  }
}

std::vector<std::string> World::violations() const {
  std::vector<std::string> all = violations_;
  all.insert(all.end(), oracle_.violations().begin(), oracle_.violations().end());
  for (const std::string& id : oracle_.missing()) all.push_back("missing: " + id);
  return all;
}

}  // namespace twinspool::sim
