#include "daemon.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>
#include <random>

#include "admin/admin_server.h"
#include "admin/answers.h"
#include "admin/history.h"
#include "admin/lane_routes.h"
#include "admin/message_routes.h"
#include "admin/query.h"
#include "config/load.h"
#include "core_dumps.h"
#include "disk_writes.h"
#include "forward/forwarder.h"
#include "forward/network_dialer.h"
#include "forward/token_sources.h"
#include "ingest/ingest_server.h"
#include "ingest/retry_after.h"
#include "net/event_loop.h"
#include "notify.h"
#include "spool/forecast.h"
#include "spool/spool.h"
#include "util/json.h"
#include "util/log.h"
#include "watchdog.h"

namespace twinspool {

log::Level log_level(const LogConfig& config) {
  if (config.level == "debug") return log::Level::debug;
  if (config.level == "warn") return log::Level::warn;
  if (config.level == "error") return log::Level::error;
  return log::Level::info;
}

log::Format log_format(const LogConfig& config) {
  return config.format == LogFormat::json ? log::Format::json : log::Format::text;
}

namespace {

constexpr Duration kStopTimeout = 20s;  // the unit kills after 30 s
constexpr rlim_t kSpareDescriptors = 64;

// Every connection needs a descriptor. libuv closes new connections without a word when they run out, so they must not.
Result<void> raise_descriptor_limit(const Config& config) {
  const rlim_t wanted = config.ingest.connections_max + config.forward.connections + kSpareDescriptors;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return {};
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (limit.rlim_cur < wanted || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return fail(Errc::invalid, "this process may open " + std::to_string(limit.rlim_max) +
                                   " files, but ingest.connections_max and " + "forward.connections need " +
                                   std::to_string(wanted) + ": lower them or raise LimitNOFILE");
  }
  return {};
}

// The kernel's: clocks and process ids may be the same on a whole fleet that was switched on together.
std::uint64_t jitter_seed() {
  std::random_device kernel;
  return static_cast<std::uint64_t>(kernel()) << 32 | kernel();
}

// What delivers: everything that depends on `forward` and `auth`, so a reload replaces it as one.
struct Delivery {
  AuthConfig auth;  // of `token`
  std::unique_ptr<forward::TokenSource> token;
  std::unique_ptr<forward::Dialer> dialer;
  std::unique_ptr<forward::Forwarder> forwarder;  // last: uses both
};

class Process {
 public:
  Process(const Config& config, std::string config_path, forward::Return manner)
      : config_(config), config_path_(std::move(config_path)), manner_(manner) {}

  Result<void> start();
  int run();

 private:
  Result<std::unique_ptr<Delivery>> make_delivery(const Config& config);
  void begin_delivery(std::unique_ptr<Delivery> delivery);
  void add_delivery_routes();
  http::Response delivery_answer(const std::string& message);
  admin::Facts facts();
  void watch_rates();
  void tell_status();
  admin::LaneFacts lane_facts(std::size_t most);
  forward::Forwarder::Stats between_forwarders() const;
  void reload();
  void apply_configuration();
  void replace_delivery(std::unique_ptr<Delivery> next);
  void restart_delivery();
  void route_history();
  void stop();
  void stop_delivery_and_spool();
  void finish();

  Config config_;
  std::string config_path_;
  const forward::Return manner_;
  const TimePoint started_ = monotonic_now();
  bool stopping_ = false;
  bool ingest_drained_ = false;
  bool replacing_ = false;  // the old forwarder is about to end, and next_delivery_ follows it
  bool clean_ = false;
  std::optional<WallTime> paused_since_;  // by an operator; outlives a reload, not the process

  net::EventLoop loop_;
  net::Timer stop_deadline_{loop_.timers(), [this] { finish(); }};
  Forecast forecast_;
  admin::History history_;
  std::string told_status_;  // to the service manager
  net::Timer watch_rates_{loop_.timers(), [this] { watch_rates(); }};
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Delivery> delivery_;  // null: forward.endpoint is empty, collecting only
  std::unique_ptr<Delivery> next_delivery_;
  forward::Totals totals_;  // of the forwarders before the one that runs
  std::unique_ptr<ingest::IngestServer> ingest_;
  std::unique_ptr<admin::AdminServer> admin_;
  std::unique_ptr<admin::MessageRoutes> message_routes_;
  std::unique_ptr<admin::LaneRoutes> lane_routes_;
  std::optional<net::SignalWatcher> on_term_, on_int_, on_hup_;
  std::optional<Watchdog> watchdog_;
};

Result<void> Process::start() {
  keep_secrets_out_of_core_dumps(config_);
  if (auto raised = raise_descriptor_limit(config_); !raised) return raised;
  auto inherited = net::InheritedSockets::from_environment();
  auto delivery = make_delivery(config_);
  if (!delivery) return tl::unexpected(delivery.error());

  auto spool =
      Spool::open(config_.store, loop_, Spool::Writer::thread, {}, ingest::IngestServer::sources_of(config_.listen));
  if (!spool) return tl::unexpected(spool.error());
  spool_ = std::move(*spool);
  spool_->on_recovered([this] { restart_delivery(); });
  watch_rates();
  begin_delivery(std::move(*delivery));

  auto ingest = ingest::IngestServer::listen(loop_, config_.listen, config_.ingest, *spool_, inherited);
  if (!ingest) return tl::unexpected(ingest.error());
  ingest_ = std::move(*ingest);
  ingest_->retry_when_full([this] {
    const SpoolStats& stats = spool_->stats();
    return ingest::retry_when_full(stats, forecast_.outlook(loop_.now(), stats, config_.store), config_.store);
  });
  auto admin = admin::AdminServer::listen(loop_, config_.admin, inherited, [this] { return facts(); });
  if (!admin) return tl::unexpected(admin.error());
  admin_ = std::move(*admin);
  add_delivery_routes();
  route_history();
  message_routes_ = std::make_unique<admin::MessageRoutes>(loop_, *admin_, *spool_, config_.store.path);
  lane_routes_ = std::make_unique<admin::LaneRoutes>(loop_, *admin_, config_.store.path,
                                                     [this](std::size_t most) { return lane_facts(most); });
  for (const std::string& socket : inherited.left())
    log::warn("net.inherited_unused",
              {{"socket", socket}, {"remedy", "the configuration and the socket unit must name the same paths"}});

  on_term_.emplace(loop_, SIGTERM, [this] { stop(); });
  on_int_.emplace(loop_, SIGINT, [this] { stop(); });
  on_hup_.emplace(loop_, SIGHUP, [this] { reload(); });
  return {};
}

int Process::run() {
  const SpoolStats& spool = spool_->stats();
  log::info("daemon.ready",
            {{"version", TWINSPOOL_VERSION},
             {"store", config_.store.path},
             {"queued", spool.queued_messages},
             {"endpoint", config_.forward.endpoint.empty() ? "none, collecting only" : config_.forward.endpoint}});
  notify_service_manager("READY=1");
  tell_status();
  watchdog_.emplace(loop_, *spool_, [this] { return delivery_ && delivery_->forwarder->stats().stuck; });
  loop_.run();
  const SpoolStats& last = spool_->stats();
  log::info("daemon.stopped",
            {{"clean", clean_}, {"remaining", last.queued_messages}, {"unrecorded", last.unrecorded}});
  return clean_ ? 0 : 1;
}

Result<std::unique_ptr<Delivery>> Process::make_delivery(const Config& config) {
  if (config.forward.endpoint.empty()) return std::unique_ptr<Delivery>();
  auto delivery = std::make_unique<Delivery>();
  auto token = forward::make_token_source(loop_, config.auth, config.forward,
                                          {.make_dialer =
                                               [this, &config](const forward::DialTarget& target) {
                                                 return forward::NetworkDialer::create(loop_, target, config.forward);
                                               },
                                           .environment = forward::IdentityEnvironment::of_process(),
                                           .seed = jitter_seed()});
  if (!token) return tl::unexpected(token.error());
  delivery->token = std::move(*token);
  delivery->auth = config.auth;
  if (delivery_ && delivery_->auth == config.auth) delivery->token->take_over(*delivery_->token);
  auto dialer = forward::NetworkDialer::create(loop_, config.forward);
  if (!dialer) return tl::unexpected(dialer.error());
  delivery->dialer = std::move(*dialer);
  return delivery;
}

void Process::begin_delivery(std::unique_ptr<Delivery> delivery) {
  delivery_ = std::move(delivery);
  if (!delivery_) return;
  delivery_->forwarder = std::make_unique<forward::Forwarder>(
      loop_, *spool_, *delivery_->dialer, *delivery_->token, config_.forward,
      forward::Forwarder::Options{
          .seed = jitter_seed(), .paused_since = paused_since_, .manner = manner_, .totals = totals_});
  delivery_->forwarder->start();
}

http::Response Process::delivery_answer(const std::string& message) {
  const admin::Condition condition = admin::condition_of(facts());
  json::Writer out;
  out.begin_object().key("state").string(admin::to_string(condition.state));
  out.key("since").string(to_rfc3339(condition.since)).key("message").string(message).end_object();
  return admin::json_response(200, out.take());
}

void Process::add_delivery_routes() {
  admin_->route("POST", "/pause", [this](const http::Request&, const admin::AdminServer::Respond& respond) {
    if (!paused_since_) {
      paused_since_ = wall_now();
      log::warn("forward.paused", {{"remedy", "twinspool resume"}});
      if (delivery_) delivery_->forwarder->pause(*paused_since_);
    }
    respond(delivery_answer("paused: messages are accepted and kept, nothing is sent until `twinspool resume`"));
  });
  admin_->route("POST", "/resume", [this](const http::Request&, const admin::AdminServer::Respond& respond) {
    const bool was_paused = paused_since_.has_value();
    paused_since_.reset();
    if (was_paused) log::info("forward.resumed", {});
    if (was_paused && delivery_) delivery_->forwarder->resume();
    respond(delivery_answer(was_paused ? "resumed" : "it was not paused"));
  });
  admin_->route("POST", "/kick", [this](const http::Request&, const admin::AdminServer::Respond& respond) {
    if (paused_since_)
      return respond(admin::error_response(409, "Paused", "delivery is paused; `twinspool resume` first"));
    if (delivery_) delivery_->forwarder->kick();
    respond(delivery_answer(delivery_ ? "kicked: whatever waited is tried now"
                                      : "forward.endpoint is empty: there is nothing to try"));
  });
}

forward::Forwarder::Stats Process::between_forwarders() const {
  forward::Forwarder::Stats stats;
  stats.totals = totals_;
  stats.offline = totals_.offline.total(loop_.now());
  return stats;
}

admin::Facts Process::facts() {
  return {.store_path = config_.store.path,
          .endpoint = config_.forward.endpoint,
          .capacity_bytes = config_.store.max_size,
          .spool = spool_->stats(),
          .outlook = forecast_.outlook(loop_.now(), spool_->stats(), config_.store),
          .token = delivery_ ? delivery_->token->status() : forward::TokenStatus{},
          .forwarder = delivery_ ? delivery_->forwarder->stats() : between_forwarders(),
          .ingest = ingest_->stats(),
          .sockets = ingest::IngestServer::sources_of(config_.listen),
          .now = wall_now(),
          .uptime = monotonic_now() - started_,
          .clock_synchronized = clock_synchronized(),
          .disk_written_bytes = disk_written_bytes()};
}

void Process::watch_rates() {
  forecast_.add(loop_.now(), spool_->stats());
  history_.add(loop_.now(), wall_now(), spool_->stats());
  watch_rates_.set_after(kForecastEvery);
  if (watchdog_) tell_status();
}

void Process::tell_status() {
  const admin::Facts now = facts();
  std::string status = admin::status_line(admin::condition_of(now), now.spool);
  if (status == told_status_) return;
  notify_service_manager("STATUS=" + status);
  told_status_ = std::move(status);
}

admin::LaneFacts Process::lane_facts(std::size_t most) {
  if (!delivery_) return {.waiting = {}, .now = wall_now()};
  const forward::Forwarder::Stats stats = delivery_->forwarder->stats();
  return {.ready = stats.lanes_ready,
          .in_flight = stats.lanes_in_flight,
          .held = stats.lanes_held,
          .retrying = stats.lanes_retrying,
          .waiting = delivery_->forwarder->waiting_lanes(most),
          .now = wall_now()};
}

void Process::reload() {
  if (stopping_) return;
  notify_service_manager("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_now().time_since_epoch() / 1us));
  apply_configuration();
  notify_service_manager("READY=1");
}

// All or nothing: everything that can fail is tried before anything is changed.
void Process::apply_configuration() {
  const auto refused = [this](const std::string& why) {
    log::error("config.refused",
               {{"file", config_path_}, {"why", why}, {"now", "the running configuration stays in force"}});
  };
  auto wanted = load_config(config_path_);
  if (!wanted) return refused(wanted.error().what);
  std::string restart;
  for (const std::string& key : keys_that_need_restart(config_, *wanted))
    restart += (restart.empty() ? "" : ", ") + key;
  if (!restart.empty()) return refused("changed keys that need a restart: " + restart);
  if (auto raised = raise_descriptor_limit(*wanted); !raised) return refused(raised.error().what);
  auto delivery = make_delivery(*wanted);
  if (!delivery) return refused(delivery.error().what);

  config_ = *wanted;
  keep_secrets_out_of_core_dumps(config_);
  log::set_level(log_level(config_.log));
  ingest_->reconfigure(config_.ingest);
  spool_->reconfigure(config_.store);
  log::info("config.reloaded", {{"file", config_path_}});
  replace_delivery(std::move(*delivery));
}

// What was salvaged lies before what the forwarder has read, so another begins at the front.
void Process::restart_delivery() {
  if (stopping_ || !delivery_) return;
  auto delivery = make_delivery(config_);
  if (!delivery) return log::error("daemon.delivery", {{"why", delivery.error().what}});
  replace_delivery(std::move(*delivery));
}

void Process::route_history() {
  admin_->route("GET", "/history", [this](const http::Request& request, const admin::AdminServer::Respond& respond) {
    const auto after = admin::number_of(admin::query_value(request, "after").value_or("0"));
    if (!after)
      return respond(admin::error_response(400, "InvalidArgument", "GET /history takes ?after=N, a whole number"));
    respond(admin::json_response(200, history_.json(loop_.now(), *after)));
  });
}

// The old forwarder hands over what it has in flight before the new one reads the queue, so nothing is sent twice. A
// further reload meanwhile only changes who comes next.
void Process::replace_delivery(std::unique_ptr<Delivery> next) {
  next_delivery_ = std::move(next);
  if (replacing_) return;
  if (!delivery_) return begin_delivery(std::move(next_delivery_));
  replacing_ = true;
  delivery_->forwarder->stop([this] {
    totals_ = delivery_->forwarder->stats().totals;
    loop_.retire(std::move(delivery_));
    // On a later turn: the old one lets go of the spool when it ends, and would let go of it for the new one, too.
    loop_.post([this] {
      replacing_ = false;
      if (!stopping_) return begin_delivery(std::move(next_delivery_));
      if (ingest_drained_) stop_delivery_and_spool();
    });
  });
}

// Answers what was read, hands over what is in flight, commits, records: in this order, under one deadline.
void Process::stop() {
  if (stopping_) {
    log::warn("daemon.stop_forced", {});
    return loop_.stop();
  }
  stopping_ = true;
  notify_service_manager("STOPPING=1\nSTATUS=stopping: what is under way is brought to its end");
  watchdog_.reset();  // the unit has a time limit for a stop
  log::info("daemon.stopping", {{"queued", spool_->stats().queued_messages}});
  stop_deadline_.set_after(kStopTimeout);
  ingest_->drain([this] {
    ingest_drained_ = true;
    if (!replacing_) stop_delivery_and_spool();
  });
}

void Process::stop_delivery_and_spool() {
  const auto close_spool = [this] {
    spool_->flush_and_close([this] {
      clean_ = true;
      finish();
    });
  };
  if (delivery_) {
    delivery_->forwarder->stop(close_spool);
  } else {
    close_spool();
  }
}

void Process::finish() {
  stop_deadline_.cancel();
  loop_.stop();
}

}  // namespace

int Daemon::run(const Config& config, const std::string& config_path, forward::Return manner) {
  std::signal(SIGPIPE, SIG_IGN);
  umask(0027);
  Process process(config, config_path, manner);
  if (auto started = process.start(); !started) {
    log::error("daemon.failed", {{"why", started.error().what}});
    return 1;
  }
  return process.run();
}

}  // namespace twinspool
