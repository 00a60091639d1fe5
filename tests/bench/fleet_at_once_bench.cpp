// The daemon without jitter and without the ramp after an outage, for scripts/bench fleet: the same code as twinspoold,
// which has no switch for it.
#include <cstdio>

#include "config/load.h"
#include "daemon.h"
#include "util/log.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: fleet-at-once-bench --config FILE\n");
    return 2;
  }
  auto config = twinspool::load_config(argv[2]);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().what.c_str());
    return 1;
  }
  twinspool::log::set_up(twinspool::log_level(config->log));
  return twinspool::Daemon::run(*config, argv[2], twinspool::forward::Return::at_once);
}
