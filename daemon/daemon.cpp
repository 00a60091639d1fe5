#include "daemon.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>

#include "admin/admin_server.h"
#include "admin/answers.h"
#include "admin/delivery_routes.h"
#include "admin/history.h"
#include "admin/lane_routes.h"
#include "admin/message_routes.h"
#include "config/load.h"
#include "core_dumps.h"
#include "delivery.h"
#include "disk_writes.h"
#include "ingest/ingest_server.h"
#include "ingest/retry_after.h"
#include "net/event_loop.h"
#include "notify.h"
#include "spool/forecast.h"
#include "spool/spool.h"
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

class Process {
 public:
  Process(const Config& config, std::string config_path, forward::Return manner)
      : config_(config), config_path_(std::move(config_path)), delivery_(loop_, manner) {}

  Result<void> start();
  int run();

 private:
  admin::Facts facts();
  void watch_rates();
  void tell_status();
  void reload();
  void apply_configuration();
  void restart_delivery();
  void stop();
  void finish();

  Config config_;
  std::string config_path_;
  const TimePoint started_ = monotonic_now();
  bool stopping_ = false;
  bool clean_ = false;

  net::EventLoop loop_;
  net::Timer stop_deadline_{loop_.timers(), [this] { finish(); }};
  Forecast forecast_;
  admin::History history_;
  std::string told_status_;  // to the service manager
  net::Timer watch_rates_{loop_.timers(), [this] { watch_rates(); }};
  std::unique_ptr<Spool> spool_;
  Delivery delivery_;
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
  auto delivery = delivery_.make(config_);
  if (!delivery) return tl::unexpected(delivery.error());

  auto spool =
      Spool::open(config_.store, loop_, Spool::Writer::thread, {}, ingest::IngestServer::sources_of(config_.listen));
  if (!spool) return tl::unexpected(spool.error());
  spool_ = std::move(*spool);
  spool_->on_recovered([this] { restart_delivery(); });
  watch_rates();
  delivery_.replace(*spool_, config_.forward, std::move(*delivery));

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
  admin::add_delivery_routes(*admin_, delivery_, [this] { return facts(); });
  admin::add_history_route(*admin_, history_, loop_);
  message_routes_ = std::make_unique<admin::MessageRoutes>(loop_, *admin_, *spool_, config_.store.path);
  lane_routes_ = std::make_unique<admin::LaneRoutes>(loop_, *admin_, config_.store.path,
                                                     [this](std::size_t most) { return delivery_.lanes(most); });
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
  watchdog_.emplace(loop_, *spool_, [this] { return delivery_.stuck(); });
  loop_.run();
  const SpoolStats& last = spool_->stats();
  log::info("daemon.stopped",
            {{"clean", clean_}, {"remaining", last.queued_messages}, {"unrecorded", last.unrecorded}});
  return clean_ ? 0 : 1;
}

admin::Facts Process::facts() {
  return {.store_path = config_.store.path,
          .endpoint = config_.forward.endpoint,
          .capacity_bytes = config_.store.max_size,
          .spool = spool_->stats(),
          .outlook = forecast_.outlook(loop_.now(), spool_->stats(), config_.store),
          .token = delivery_.token(),
          .forwarder = delivery_.stats(),
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
  auto delivery = delivery_.make(*wanted);
  if (!delivery) return refused(delivery.error().what);

  config_ = *wanted;
  keep_secrets_out_of_core_dumps(config_);
  log::set_level(log_level(config_.log));
  ingest_->reconfigure(config_.ingest);
  spool_->reconfigure(config_.store);
  log::info("config.reloaded", {{"file", config_path_}});
  delivery_.replace(*spool_, config_.forward, std::move(*delivery));
}

// What was salvaged lies before what the forwarder has read, so another begins at the front.
void Process::restart_delivery() {
  if (stopping_ || delivery_.collects_only()) return;
  auto delivery = delivery_.make(config_);
  if (!delivery) return log::error("daemon.delivery", {{"why", delivery.error().what}});
  delivery_.replace(*spool_, config_.forward, std::move(*delivery));
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
  const auto close_spool = [this] {
    spool_->flush_and_close([this] {
      clean_ = true;
      finish();
    });
  };
  ingest_->drain([this, close_spool] { delivery_.stop(close_spool); });
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
