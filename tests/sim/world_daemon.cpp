// The daemon of a World: how it is put together, started, stopped, killed.
#include <filesystem>
#include <fstream>

#include "crash/timeline.h"
#include "forward/token_sources.h"
#include "sim/world.h"
#include "spool/sqlite.h"
#include "support/memory_stream.h"

namespace twinspool::sim {
namespace {

constexpr std::uint32_t kConnections = 8;
constexpr int kTurnsWithoutTime = 1000;
constexpr std::int64_t kRecoveryRetryMs = 60'000;

}  // namespace

// Connections within this world, while the weather allows.
class World::SimDialer final : public forward::Dialer {
 public:
  enum class To { cloud, issuer };
  SimDialer(World& world, To to) : world_(world), to_(to) {}

  std::unique_ptr<net::Pending> dial(Dialed done) override {
    auto alive = std::make_shared<bool>(true);
    world_.loop_.post([this, alive, done = std::move(done)] {
      if (!*alive) return;
      if (world_.cloud_.weather() == Weather::gone) return done(fail(Errc::unreachable, "connection refused"));
      auto [ours, theirs] = MemoryStream::pair(world_.loop_);
      // Pieces, but not so small that an answer is still on its way when the time moves on (see settle()).
      if (world_.chance(20)) ours->deliver_at_most(static_cast<std::size_t>(world_.number(16, 64)));
      if (to_ == To::cloud)
        world_.cloud_.accept(std::move(theirs));
      else
        world_.issuer_.accept(std::move(theirs));
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
  const To to_;
};

World::World(std::uint64_t seed, const Settings& settings)
    : random_(seed),
      loop_(net::EventLoop::Clock::manual),
      disk_(crash::Image{}),
      mounted_(disk_),
      oracle_(settings.order == ForwardOrder::queue ? Oracle::Order::whole_queue : Oracle::Order::per_twin,
              kConnections * settings.pipeline + forward::kUnrecordedMax, settings.pipeline > 1),
      cloud_(loop_, seed + 1, settings.pipeline,
             {.taken = [this](const Telemetry& telemetry, bool lost) { oracle_.taken(telemetry, lost); },
              .refused = [this](const std::string& id) { oracle_.refused(id); },
              .twin_missing = [this](const std::string& id) { oracle_.twin_was_missing(id); },
              .answer_perhaps_lost = [this](const std::string& id) { oracle_.answer_perhaps_lost(id); },
              .authorized = [this](const http::Request& request) { return issuer_.authorized(request); }}),
      issuer_(loop_, [this] { return wall(); }) {
  crash::seed_random(seed);
  store_config_ = crash::Gateway::plain_config();
  store_config_.min_free = 1;
  store_config_.dedup_window = std::chrono::hours(24 * 30);  // applications are patient
  forward_config_.endpoint = "https://cloud.invalid";
  forward_config_.order = settings.order;
  forward_config_.pipeline = settings.pipeline;
  forward_config_.rate = settings.rate;
  forward_config_.connections = kConnections;
  auth_config_.kind = AuthKind::client_secret;
  auth_config_.tenant = issuer_.settings().tenant;
  auth_config_.client_id = issuer_.settings().client_id;
  auth_config_.client_secret_file = dir_.file("secret");
  std::ofstream(auth_config_.client_secret_file) << issuer_.settings().client_secret;
  std::filesystem::permissions(auth_config_.client_secret_file, std::filesystem::perms::owner_read);
  const bool in_order = settings.order == ForwardOrder::queue;
  const Application::Events events{.acknowledged =
                                       [this](const std::string& id) {
                                         events_ += 2;
                                         oracle_.acknowledged(id);
                                       },
                                   .violated = [this](const std::string& what) { violated(what); }};
  for (std::uint64_t i = 0; i < (in_order ? 1 : kApplications); ++i)
    applications_.push_back(std::make_unique<Application>(
        loop_, seed + 2 + i, in_order, [this] { return connect_application(); }, events));
  start();
  ENSURE(up());
}

World::~World() {
  applications_.clear();
  end_daemon();
}

std::unique_ptr<net::Stream> World::connect_application() {
  if (!up()) return nullptr;
  auto [ours, theirs] = MemoryStream::pair(loop_);
  if (chance(20)) theirs->deliver_at_most(static_cast<std::size_t>(number(16, 64)));
  server_->add(std::move(theirs), {});
  return std::move(ours);
}

void World::start() {
  const bool may_fail = disk_is_faulty_;
  auto spool = Spool::open(store_config_, loop_, Spool::Writer::none, clocks_.get());
  if (!spool) {
    if (!may_fail) violated("the daemon does not start: " + spool.error().what);
    return;
  }
  spool_ = std::move(*spool);
  server_ = std::make_unique<ingest::IngestServer>(loop_, IngestConfig{}, *spool_);
  paused_ = false;
  start_forwarder();
  const std::set<std::string> in_queue = queued_ids();
  oracle_.begins_anew(in_queue, std::exchange(unrecorded_, true));
  oracle_.found(in_queue, quarantined_ids());
  for (const auto& application : applications_) application->try_again();
}

void World::start_forwarder() {
  auto tokens = forward::make_token_source(
      loop_, auth_config_, forward_config_,
      {.make_dialer = [this](const forward::DialTarget&) -> Result<std::unique_ptr<forward::Dialer>> {
         return std::make_unique<SimDialer>(*this, SimDialer::To::issuer);
       },
       .environment = {},
       .seed = random_(),
       .wall_clock = [this] { return wall(); }});
  ENSURE(tokens.has_value());
  dialer_ = std::make_unique<SimDialer>(*this, SimDialer::To::cloud);
  if (tokens_) (*tokens)->take_over(*tokens_);
  tokens_ = std::move(*tokens);
  forwarder_ = std::make_unique<forward::Forwarder>(
      loop_, *spool_, *dialer_, *tokens_, forward_config_,
      forward::Forwarder::Options{.seed = random_(), .wall_clock = [this] { return wall(); }});
  if (paused_) forwarder_->pause(WallTime{});
  forwarder_->start();
}

void World::end_daemon() {
  server_.reset();
  forwarder_.reset();
  tokens_.reset();
  spool_.reset();
}

// kill -9: what was written is there, whatever the destructors would still write is not.
void World::crash() {
  disk_.freeze();
  end_daemon();
  loop_.run_turn();
  disk_.thaw();
  start();
}

// The end comes at one of the calls that the next commits make.
void World::crash_amid_writes() {
  disk_.set_faults([this, left = number(0, 40)](crash::Disk::Call, const std::string&) mutable {
    if (left-- != 0) return crash::Disk::Answer{};
    disk_.freeze();
    return crash::Disk::Answer{EIO};
  });
  send(number(1, 8));
  settle();
  end_disk_faults();
  chance(50) ? crash() : cut_power();
}

// Of what was not synced something is there, or nothing.
void World::cut_power() {
  disk_.freeze();
  end_daemon();
  loop_.run_turn();
  disk_.thaw();
  crash::Timeline timeline(durable_, chance(50) ? crash::Timeline::Poison::drop : crash::Timeline::Poison::stuck);
  for (std::size_t i = first_op_; i < disk_.recorded(); ++i) timeline.advance(disk_.ops()[i]);
  const int variant = number(0, static_cast<int>(2 * timeline.pending()) + 20);
  durable_ = timeline.state(static_cast<std::uint64_t>(variant), random_());
  disk_.image_to_damage() = durable_;
  first_op_ = disk_.recorded();
  clocks_.reboot();
  start();
}

void World::stop_forwarder() {
  settle();
  bool stopped = false;
  forwarder_->stop([&] { stopped = true; });
  for (int i = 0; i < 10 && !stopped; ++i) pass(std::chrono::seconds(1));
  if (!stopped) violated("the forwarder did not stop");
}

// Another forwarder on the same spool, as the daemon does it.
void World::reload() {
  stop_forwarder();
  forwarder_.reset();
  start_forwarder();
  oracle_.begins_anew(queued_ids(), false);
}

void World::restart_cleanly() {
  stop_forwarder();
  bool drained = false, closed = false;
  server_->drain([&] { drained = true; });
  for (int i = 0; i < 10 && !drained; ++i) pass(std::chrono::seconds(1));
  if (!drained) violated("the local API did not drain");
  spool_->flush_and_close([&] { closed = true; });
  settle();
  if (!closed) violated("the spool did not close");
  const SpoolStats& stats = spool_->stats();
  unrecorded_ = stats.unrecorded != 0;
  if (unrecorded_ && stats.fault.empty() && !disk_is_faulty_) violated("a clean stop left unrecorded deliveries");
  end_daemon();
  start();
}

// What the forwarder is going to find. Where the store has to recover before it can be read, time passes.
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
    for (int turns = 0; !answered; ++turns) {
      spool_->commit_batch();
      loop_.run_turn();
      if (turns < kTurnsWithoutTime) continue;
      end_disk_faults();
      clocks_.pass(kRecoveryRetryMs);
      turns = 0;
    }
  }
  return ids;
}

// As an operator sees them.
std::set<std::string> World::quarantined_ids() {
  std::set<std::string> ids;
  auto database = sqlite::Database::open(store_config_.path, sqlite::Database::Mode::read_only);
  ENSURE(database.has_value());
  auto row = database->prepare("SELECT message_id FROM quarantined_messages");
  ENSURE(row.has_value());
  for (;;) {
    const Result<bool> there = row->step();
    ENSURE(there.has_value());
    if (!*there) return ids;
    ids.emplace(row->text(0));
  }
}

}  // namespace twinspool::sim
