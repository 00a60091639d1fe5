#include <CLI/CLI.hpp>
#include <memory>

#include "ops/send.h"
#include "verbs.h"

namespace twinspool {

namespace {

void add_send(CommandLine& line) {
  const auto options = std::make_shared<ops::SendOptions>();
  CLI::App* send = add_verb(
      line, "send", "Store one message of a twin; prints its sequence once it is on disk",
      with_sockets(line, [options](const ops::Sockets& sockets) { return ops::run_send(*options, sockets.message); }));
  send->add_option("TWIN", options->twin, "The twin's id, as plain text")->required();
  send->add_option("FILE", options->file,
                   "The message, a JSON object of at most 32 KiB; - or nothing reads standard input");
  send->add_option("--component", options->component, "The twin's component");
  send->add_option("--id", options->id, "Message-Id; sending the same one again stores it once (default: a new UUID)");
  send->add_option("--source-time", options->source_time,
                   "When it was measured, RFC 3339 (default: the time it is stored)");
  send->add_flag("--json", options->json, "Print {\"sequence\",\"duplicate\",\"message_id\"}");
  send->footer(
      "Examples:\n"
      "  echo '{\"temperature\": 21.5}' | twinspool send pump-17\n"
      "  twinspool send pump-17 --component motor --source-time 2026-11-23T20:20:41Z reading.json\n"
      "Prints the sequence, and `duplicate` behind it where this id was stored before.");
}

}  // namespace

void add_message_verbs(CommandLine& line) { add_send(line); }

}  // namespace twinspool
