#include "ops/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>

#include "config/load.h"
#include "ops/admin_call.h"
#include "ops/doctor_network.h"
#include "ops/screen.h"
#include "ops/sockets.h"
#include "ops/status_view.h"
#include "ops/store_path.h"
#include "ops/text.h"
#include "spool/files.h"
#include "spool/queue_reader.h"

namespace twinspool::ops {

namespace {

using namespace std::chrono_literals;

constexpr WallTime kLongAgo = WallTime(std::chrono::sys_days(std::chrono::year(2024) / 1 / 1).time_since_epoch());
constexpr auto kSkewMax = 5min;  // what token endpoints commonly bear

// Tells each finding as it comes: some steps take seconds.
class Doctor {
 public:
  explicit Doctor(const DoctorOptions& options)
      : options_(options), colour_(colour_of(STDOUT_FILENO, options.colour)) {}

  ExitCode run() {
    const std::string path = options_.config.empty() ? kDefaultConfigPath : options_.config;
    const Result<Config> config = load_config(path);
    if (config) {
      tell(good("config", path));
      look(*config);
    } else {
      tell(broken("config", config.error().what,
                  "mend it, and check it with: twinspoold --check-config --config " + path));
      tell(judge_clock(wall_now(), clock_synchronized()));
      tell(skipped("others", "they need the configuration"));
    }
    if (options_.json) {
      std::fputs(findings_json(findings_).c_str(), stdout);
    } else {
      std::fputs(render_verdict(findings_).c_str(), stdout);
    }
    return first_broken(findings_) == nullptr ? kDone : kFailed;
  }

 private:
  void tell(Finding finding) {
    if (!options_.json) {
      std::fputs(render_finding(finding, colour_).c_str(), stdout);
      std::fflush(stdout);
    }
    findings_.push_back(std::move(finding));
  }

  void look(const Config& config) {
    tell(daemon(options_.admin_socket.empty() ? config.admin.path : options_.admin_socket));
    store(config.store);
    tell(judge_clock(wall_now(), clock_synchronized()));
    if (config.forward.endpoint.empty()) {
      tell(skipped("network", "forward.endpoint is empty: messages are collected, not delivered"));
    } else {
      check_network(config, options_.twin, [this](Finding finding) { tell(std::move(finding)); });
    }
    twins(config.store);
  }

  static Finding daemon(const std::string& socket) {
    const auto status = try_status(socket);
    if (!status)
      return warning("daemon", status.error().what, "the steps below do not need it: they tell why it may not deliver");
    const StatusView view(status->document);
    std::string text = view.text("state") + " since " + view.moment("since");
    if (view.has_text("why")) text += ": " + view.text("why");
    if (view.is("state", "degraded"))
      return broken("daemon", text, "see docs/operations.md, disaster recipes; then: twinspool repair --acknowledge");
    if (view.is("state", "paused")) return warning("daemon", text, "twinspool resume");
    return good("daemon", text);
  }

  void store(const StoreConfig& config) {
    const std::string directory = std::filesystem::path(config.path).parent_path().string();
    Result<sqlite::Database> database = open_store(config.path);
    const Result<std::int64_t> queued =
        database ? database->integer("SELECT queued_messages FROM summary") : tl::unexpected(database.error());
    const Result<std::int64_t> bytes =
        queued ? database->integer("SELECT queued_bytes FROM summary") : tl::unexpected(queued.error());
    if (bytes) {
      tell(good("store",
                fmt::format("{}: {} messages wait", config.path, grouped(static_cast<std::uint64_t>(*queued)))));
    } else if (access(config.path.c_str(), F_OK) != 0 && errno == ENOENT) {
      tell(warning("store", "there is no queue at " + config.path + " yet", "start twinspoold: it makes one"));
    } else {
      tell(broken("store", bytes.error().what,
                  "twinspool check says more; twinspoold salvages a damaged queue by itself"));
    }
    if (const Result<void> blocks = check_block_size(directory); !blocks)
      return tell(broken("disk", blocks.error().what, "put store.path on a file system with blocks of 4096 bytes"));
    tell(judge_disk(directory, free_bytes(directory), bytes ? static_cast<std::uint64_t>(*bytes) : 0, config));
  }

  void twins(const StoreConfig& config) {
    Result<sqlite::Database> database = open_store(config.path);
    const Result<std::vector<HeldTwin>> held =
        database ? list_held(*database, kHeldListed) : tl::unexpected(database.error());
    if (!held) return tell(skipped("twins", "the queue cannot be read"));
    if (held->empty()) return tell(good("twins", "none is held"));
    std::string names;
    for (const HeldTwin& twin : *held)
      names += fmt::format("{}{} ({} {})", names.empty() ? "" : ", ", twin.twin, twin.status, twin.error_code);
    tell(broken(
        "twins", "the cloud does not know, or does not take messages of: " + names,
        "create the twin or component in the cloud, or mend the id in the application; its messages are kept for "
        "forward.not_found_hold. Try at once: twinspool kick"));
  }

  static constexpr std::size_t kHeldListed = 5;

  const DoctorOptions& options_;
  const Colour colour_;
  std::vector<Finding> findings_;
};

}  // namespace

Finding judge_clock(WallTime now, bool synchronized) {
  if (now < kLongAgo)
    return broken("clock", "it says " + to_rfc3339(now) + ", so no certificate is valid yet and no token is",
                  "set it (date -s), and have it kept right: systemctl enable --now systemd-timesyncd");
  if (!synchronized)
    return warning("clock", to_rfc3339(now) + ", and nothing is known to keep it right",
                   "systemctl enable --now systemd-timesyncd, or chrony");
  return good("clock", to_rfc3339(now) + ", synchronized");
}

Finding judge_skew(WallTime ours, std::int64_t cloud_seconds) {
  const auto cloud = WallTime(std::chrono::seconds(cloud_seconds));
  const auto off = ours > cloud ? ours - cloud : cloud - ours;
  if (off <= kSkewMax) return good("clock", "the cloud's clock agrees");
  return broken("clock", fmt::format("it is {} {} the cloud's", to_human(off), ours > cloud ? "ahead of" : "behind"),
                "set it, and have it kept right: systemctl enable --now systemd-timesyncd");
}

Finding judge_disk(const std::string& directory, std::uint64_t free_bytes, std::uint64_t queued_bytes,
                   const StoreConfig& limits) {
  const auto text =
      fmt::format("{} has {} free; store.min_free is {}", directory, human_bytes(static_cast<double>(free_bytes)),
                  human_bytes(static_cast<double>(limits.min_free)));
  if (free_bytes <= limits.min_free)
    return broken("disk", text + ": messages are refused with 507",
                  "free space there, or move store.path to a larger disk, or lower store.min_free");
  const std::uint64_t room = free_bytes - limits.min_free;
  if (limits.max_size > queued_bytes && room < limits.max_size - queued_bytes)
    return warning(
        "disk",
        text + fmt::format(": the queue may grow by {} before the disk is full, not to its "
                           "store.max_size of {}",
                           human_bytes(static_cast<double>(room)), human_bytes(static_cast<double>(limits.max_size))),
        "free space there, or lower store.max_size");
  return good("disk", text);
}

Finding judge_probe(const forward::Outcome& outcome, const Probe& probe) {
  const std::string answer = fmt::format("HTTP {}{}{}", outcome.status, outcome.code.empty() ? "" : " " + outcome.code,
                                         outcome.text.empty() ? "" : ": " + outcome.text);
  switch (outcome.verdict) {
    case forward::Verdict::delivered:
      return good("probe", answer + ": the cloud took a message of " + probe.twin);
    case forward::Verdict::hold_lane:
      if (probe.made_up)
        return good("probe",
                    fmt::format("HTTP {} {} for a twin that is not there, as it should be: path, token and role "
                                "work",
                                outcome.status, outcome.code));
      return broken("probe", answer, "the twin " + probe.twin + " is not in this instance: create it, or mend its id");
    case forward::Verdict::renew_token:
      return broken(
          "probe", answer,
          "the token is refused: check auth.tenant and auth.scope, and that forward.endpoint is the instance of "
          "that tenant");
    case forward::Verdict::hold_endpoint:
      if (outcome.status == 403)
        return broken(
            "probe", answer,
            "give the identity of `auth` the role \"Azure Digital Twins Data Owner\" on this instance (it takes "
            "effect after minutes), and look at the instance's network access");
      return broken("probe", answer,
                    "this is not the cloud's answer, or not from the instance: check forward.endpoint, and proxies and "
                    "portals on the way");
    case forward::Verdict::pause_endpoint:
    case forward::Verdict::retry_lane:
      return warning("probe", answer, "the service is busy or failing: twinspoold tries again by itself");
    case forward::Verdict::quarantine:
      return broken("probe", answer,
                    "the cloud refuses the probe itself: check forward.api_version and forward.endpoint");
    case forward::Verdict::retry_path:
      return broken_by("probe", outcome.text, "look at the network between here and the cloud");
  }
  return broken("probe", answer, "");
}

ExitCode run_doctor(const DoctorOptions& options) { return Doctor(options).run(); }

}  // namespace twinspool::ops
