#include <CLI/CLI.hpp>
#include <memory>

#include "ops/check.h"
#include "ops/repair.h"
#include "verbs.h"

namespace twinspool {

namespace {

void add_check(CommandLine& line) {
  const auto options = std::make_shared<ops::CheckOptions>();
  CLI::App* check =
      add_verb(line, "check", "Is the queue's file sound? Reads only, also beside a running daemon", [&line, options] {
        options->config = line.options.config;
        return ops::run_check(*options);
      });
  check->add_option("FILE", options->file, "The database (default: the configuration's store.path)");
  check->add_flag("--deep", options->deep, "Read every page, and check every row's checksum");
  check->add_flag("--json", options->json, "Print the findings as JSON");
  check->footer(
      "Examples:\n"
      "  sudo -u twinspool twinspool check --deep\n"
      "  twinspool check /var/backups/queue.db --json\n"
      "Exit codes: 0 sound, 1 something is wrong or cannot be read.");
}

void add_repair(CommandLine& line) {
  const auto options = std::make_shared<ops::RepairOptions>();
  const auto plan = std::make_shared<bool>(false);
  const auto acknowledge = std::make_shared<bool>(false);
  CLI::App* repair =
      add_verb(line, "repair", "What can be salvaged of a damaged queue; makes a new file, keeps the old",
               [&line, options, plan, acknowledge] {
                 options->config = line.options.config;
                 if (!*acknowledge) return ops::run_repair(*options);
                 return with_sockets(line, [options](const ops::Sockets& sockets) {
                   return ops::run_acknowledge(sockets.admin, options->json);
                 })();
               });
  repair->add_option("FILE", options->file, "The database (default: the configuration's store.path)");
  CLI::Option_group* what = repair->add_option_group("what", "one of");
  what->add_flag("--plan", *plan, "Say what can be salvaged; changes nothing");
  what->add_flag("--apply", options->apply, "Salvage into a new file; the old one is kept as FILE.corrupt-<UTC time>");
  what->add_flag("--acknowledge", *acknowledge, "Tell the running daemon that you know: its state `degraded` ends");
  what->require_option(1);
  repair->add_flag("--json", options->json, "Print the figures as JSON");
  repair->footer(
      "Examples:\n"
      "  sudo systemctl stop twinspoold && sudo -u twinspool twinspool repair --plan\n"
      "  twinspool repair --acknowledge\n"
      "--plan and --apply need the daemon stopped. Exit codes: 0 all of it, 1 failed or only part of it was salvaged.");
}

}  // namespace

void add_integrity_verbs(CommandLine& line) {
  add_check(line);
  add_repair(line);
}

}  // namespace twinspool
