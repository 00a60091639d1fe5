// The operator's command: command line → verb → exit code.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>
#include <utility>

#include "verbs.h"

namespace twinspool {

std::function<ops::ExitCode()> with_sockets(CommandLine& line, std::function<ops::ExitCode(const ops::Sockets&)> run) {
  return [&line, run = std::move(run)] {
    const auto sockets = ops::find_sockets(line.options);
    if (sockets) return run(*sockets);
    std::fprintf(stderr, "twinspool: %s\n", sockets.error().what.c_str());
    return ops::kFailed;
  };
}

CLI::App* add_verb(CommandLine& line, const std::string& name, const std::string& purpose,
                   std::function<ops::ExitCode()> carry_out) {
  CLI::App* verb = line.app.add_subcommand(name, purpose);
  verb->callback([&line, carry_out = std::move(carry_out)] { line.carry_out = carry_out; });
  return verb;
}

}  // namespace twinspool

namespace {

using namespace twinspool;

void describe(CommandLine& line) {
  CLI::App& app = line.app;
  app.add_option("--config", line.options.config,
                 std::string("The daemon's configuration, to find its sockets (default: ") + ops::kDefaultConfigPath +
                     " where it is)");
  app.add_option("--socket", line.options.message_socket, "The message socket, instead of the configuration's first");
  app.add_option("--admin", line.options.admin_socket, "The admin socket, instead of the configuration's");
  app.add_flag("--no-color", line.no_colour, "No colour, also on a terminal (as NO_COLOR in the environment)");
  app.set_version_flag("--version", "twinspool " TWINSPOOL_VERSION);
  app.require_subcommand(1);
  app.fallthrough();  // so that the options above may also follow the verb

  add_status_verbs(line);
  add_message_verbs(line);
  add_queue_verbs(line);
  add_integrity_verbs(line);
  add_doctor_verbs(line);
  add_bench_verbs(line);
  add_delivery_verbs(line);
  add_trace_verbs(line);
  app.footer(
      "Examples:\n"
      "  twinspool status\n"
      "  echo '{\"temperature\": 21.5}' | twinspool send pump-17\n"
      "  twinspool --config ./run/twinspool.yaml status --json\n"
      "Each verb has its own --help.\n"
      "Exit codes: 0 done, 1 failed, 2 usage, 3 the daemon is not reachable.");
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a daemon that goes away is an error, not our end
  CLI::App app{"twinspool looks into twinspoold and sends telemetry through it.", "twinspool"};
  CommandLine line{.app = app, .options = {}, .no_colour = false, .carry_out = {}};
  describe(line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    return app.exit(stop) == 0 ? ops::kDone : ops::kUsage;
  }
  return line.carry_out();
}
