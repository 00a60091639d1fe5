// The operator's command: names the verbs, each of which is a unit of lib/ops.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>

#include "ops/send.h"
#include "ops/sockets.h"
#include "ops/status.h"

namespace {

using namespace twinspool;

struct CommandLine {
  ops::SocketOptions sockets;
  ops::SendOptions send;
  bool status_json = false;
};

void describe_send(CLI::App& app, ops::SendOptions& options) {
  CLI::App* send = app.add_subcommand("send", "Store one message of a twin; prints its sequence once it is on disk");
  send->add_option("TWIN", options.twin, "The twin's id, as plain text")->required();
  send->add_option("FILE", options.file,
                   "The message, a JSON object of at most 32 KiB; - or nothing reads standard input");
  send->add_option("--component", options.component, "The twin's component");
  send->add_option("--id", options.id, "Message-Id; sending the same one again stores it once (default: a new UUID)");
  send->add_option("--source-time", options.source_time,
                   "When it was measured, RFC 3339 (default: the time it is stored)");
  send->add_flag("--json", options.json, "Print {\"sequence\",\"duplicate\",\"message_id\"}");
  send->footer(
      "Examples:\n"
      "  echo '{\"temperature\": 21.5}' | twinspool send pump-17\n"
      "  twinspool send pump-17 --component motor --source-time 2026-11-23T20:20:41Z reading.json\n"
      "Prints the sequence, and `duplicate` behind it where this id was stored before.");
}

void describe(CLI::App& app, CommandLine& line) {
  app.add_option("--config", line.sockets.config,
                 std::string("The daemon's configuration, to find its sockets (default: ") + ops::kDefaultConfigPath +
                     " where it is)");
  app.add_option("--socket", line.sockets.message_socket, "The message socket, instead of the configuration's first");
  app.add_option("--admin", line.sockets.admin_socket, "The admin socket, instead of the configuration's");
  app.set_version_flag("--version", "twinspool " TWINSPOOL_VERSION);
  app.require_subcommand(1);
  app.fallthrough();  // so that the options above may also follow the verb

  CLI::App* status = app.add_subcommand("status", "Is it delivering? If not, why, since when, and how much waits");
  status->add_flag("--json", line.status_json, "The daemon's status document as it is");
  status->footer("Example:\n  twinspool status --json | jq .queue.messages");
  describe_send(app, line.send);
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
  CommandLine line;
  describe(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    return app.exit(stop) == 0 ? ops::kDone : ops::kUsage;
  }
  const auto sockets = ops::find_sockets(line.sockets);
  if (!sockets) {
    std::fprintf(stderr, "twinspool: %s\n", sockets.error().what.c_str());
    return ops::kFailed;
  }
  if (app.got_subcommand("status")) return ops::run_status(sockets->admin, line.status_json);
  return ops::run_send(line.send, sockets->message);
}
