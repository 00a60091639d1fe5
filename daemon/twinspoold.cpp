// Command line → Config → Daemon::run → exit code.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "config/load.h"
#include "daemon.h"
#include "out_of_memory.h"
#include "util/log.h"

namespace {

// What systemd's RestartPreventExitStatus names: a restart cannot mend a wrong configuration (sysexits.h, EX_CONFIG).
constexpr int kExitConfig = 78;
constexpr int kExitUsage = 2;

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "twinspoold stores telemetry for digital twins on this gateway and forwards it to the cloud.\n"
      "Applications POST to its Unix socket with the cloud's own HTTP API; 204 means: on disk.\n"};
  std::string config_path = "/etc/twinspool/twinspool.yaml";
  bool check_only = false;
  app.add_option("--config", config_path, "The configuration file")->capture_default_str();
  app.add_flag("--check-config", check_only, "Check the configuration, say what is wrong, and exit (0: good, 78: bad)");
  app.set_version_flag("--version", "twinspoold " TWINSPOOL_VERSION);
  app.footer(
      "Signals: SIGTERM, SIGINT stop cleanly; SIGHUP reloads the configuration, a bad file changes nothing.\n"
      "Exit codes: 0 stopped cleanly, 1 failed, 2 usage, 78 bad configuration.\n"
      "Look inside with: twinspool status");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }

  auto config = twinspool::load_config(config_path);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().what.c_str());
    return kExitConfig;
  }
  if (check_only) {
    std::printf("%s: good\n", config_path.c_str());
    return 0;
  }
  twinspool::log::set_up(twinspool::log_level(config->log), twinspool::log_format(config->log));
  twinspool::end_when_out_of_memory();
  return twinspool::Daemon::run(*config, config_path);
}
