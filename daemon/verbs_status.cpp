#include <CLI/CLI.hpp>
#include <memory>

#include "config/units.h"
#include "ops/live.h"
#include "ops/status.h"
#include "verbs.h"

namespace twinspool {

namespace {

struct Given {
  ops::DrainOptions drain;
  bool watch = false;
};

// "30s" → the option; its error names what is accepted.
CLI::Option* add_duration(CLI::App* verb, const std::string& name, const std::string& purpose,
                          std::function<void(Duration)> use) {
  return verb
      ->add_option_function<std::string>(
          name, [use = std::move(use)](const std::string& text) { use(*parse_duration(text)); }, purpose)
      ->check([](const std::string& text) {
        const Result<Duration> duration = parse_duration(text);
        if (!duration) return duration.error().what;
        return *duration > Duration::zero() ? std::string()
                                            : std::string("more than nothing is accepted, as 30s, 10m, 2h");
      });
}

void add_status(CommandLine& line) {
  const auto given = std::make_shared<Given>();
  ops::LiveOptions& live = given->drain.live;
  CLI::App* status = add_verb(line, "status", "Is it delivering? If not, why, since when, and how much waits",
                              with_sockets(line, [&line, given](const ops::Sockets& sockets) {
                                ops::LiveOptions& options = given->drain.live;
                                options.admin_socket = sockets.admin;
                                options.colour = !line.no_colour;
                                return given->watch ? ops::run_watch(options)
                                                    : ops::run_status(sockets.admin, options.json, options.colour);
                              }));
  status->add_flag("--watch", given->watch, "Again and again, until Ctrl-C; plain lines where there is no terminal");
  add_duration(status, "--every", "How often --watch looks (default: 1s)",
               [given](Duration every) { given->drain.live.every = every; });
  status->add_flag("--json", live.json, "The daemon's status document as it is; with --watch, one a line");
  status->footer(
      "Examples:\n"
      "  twinspool status\n"
      "  twinspool status --watch\n"
      "  twinspool status --json | jq .queue.messages\n"
      "States: delivering, idle (nothing waits), waiting (and why), paused, degraded (see `repair --acknowledge`).\n"
      "Exit code 0 whatever the state; scripts look at the JSON.");
}

void add_drain(CommandLine& line) {
  const auto given = std::make_shared<Given>();
  CLI::App* drain = add_verb(line, "drain", "Waits until the queue is empty, and shows how far it is",
                             with_sockets(line, [&line, given](const ops::Sockets& sockets) {
                               given->drain.live.admin_socket = sockets.admin;
                               given->drain.live.colour = !line.no_colour;
                               return ops::run_drain(given->drain);
                             }));
  add_duration(drain, "--timeout", "Give up after so long, as 90s or 10m (default: never)",
               [given](Duration timeout) { given->drain.timeout = timeout; });
  drain->add_flag("--json", given->drain.live.json,
                  "Print {\"drained\",\"messages\",\"seconds\",\"state\",\"why\"} at the end, and nothing before");
  drain->footer(
      "Examples:\n"
      "  twinspool drain --timeout 10m && sudo systemctl stop twinspoold\n"
      "It changes nothing: messages go on coming in. To hurry after an outage: `twinspool kick`.\n"
      "Exit codes: 0 empty, 1 something still waits at the timeout or at Ctrl-C (and why), 3 the daemon is not "
      "reachable.");
}

}  // namespace

void add_status_verbs(CommandLine& line) {
  add_status(line);
  add_drain(line);
}

}  // namespace twinspool
