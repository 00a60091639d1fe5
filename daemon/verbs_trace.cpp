#include <CLI/CLI.hpp>
#include <memory>

#include "ops/quarantine.h"
#include "ops/recall.h"
#include "ops/receipt.h"
#include "ops/snapshot.h"
#include "verbs.h"

namespace twinspool {

namespace {

void add_receipt(CommandLine& line) {
  const auto options = std::make_shared<ops::ReceiptOptions>();
  CLI::App* receipt = add_verb(
      line, "receipt", "What became of a message: queued, delivered, quarantined, dropped or unknown",
      with_sockets(line, [options](const ops::Sockets& sockets) { return ops::run_receipt(*options, sockets.admin); }));
  receipt->add_option("TWIN", options->twin, "The twin's id, as plain text or as `list` shows it")->required();
  receipt->add_option("MESSAGE_ID", options->message_id, "The message's Message-Id")->required();
  receipt->add_option("--component", options->component, "The twin's component");
  receipt->add_flag("--json", options->json, "The daemon's answer as it is");
  receipt->footer("Example:\n  twinspool receipt pump-17 reading-4711\nExit code 1 where the message is unknown.");
}

void add_replay(CommandLine& line) {
  const auto options = std::make_shared<ops::ReplayOptions>();
  CLI::App* replay = add_verb(
      line, "replay", "Put delivered messages of a twin back into the queue (needs store.keep_delivered)",
      with_sockets(line, [options](const ops::Sockets& sockets) { return ops::run_replay(*options, sockets.admin); }));
  replay->add_option("--twin", options->twin, "The twin's id, as plain text or as `list` shows it")->required();
  replay->add_option("--since", options->since, "Delivered from then: RFC 3339, or 2h for two hours ago")->required();
  replay->add_option("--until", options->until, "Delivered before then (default: now)");
  replay->add_flag("--yes", options->yes, "Do it; without, it says what it would do");
  replay->add_flag("--json", options->json, "The daemon's answer as it is");
  replay->footer("Example:\n  twinspool replay --twin pump-17 --since 2h --until 30m --yes");
}

using RunQuarantine = ops::ExitCode (*)(const ops::QuarantineOptions&, const std::string&);

CLI::App* add_under(CommandLine& line, CLI::App* parent, const std::string& name, const std::string& purpose,
                    std::function<ops::ExitCode(const ops::Sockets&)> run) {
  CLI::App* verb = parent->add_subcommand(name, purpose);
  verb->callback([&line, carry_out = with_sockets(line, std::move(run))] { line.carry_out = carry_out; });
  return verb;
}

void add_change(CommandLine& line, CLI::App* quarantine, const std::string& name, const std::string& purpose,
                RunQuarantine run) {
  const auto options = std::make_shared<ops::QuarantineOptions>();
  CLI::App* verb = add_under(line, quarantine, name, purpose,
                             [options, run](const ops::Sockets& sockets) { return run(*options, sockets.admin); });
  verb->add_option("SEQ", options->sequences, "The sequences, as `quarantine list` shows them");
  verb->add_flag("--all", options->all, "All that are there");
  verb->add_flag("--yes", options->yes, "Do it");
  verb->add_flag("--json", options->json, "The daemon's answer as it is");
}

void add_quarantine(CommandLine& line) {
  CLI::App* quarantine = line.app.add_subcommand("quarantine", "What the cloud refused: look, retry, export, purge");
  quarantine->require_subcommand(1);
  quarantine->fallthrough();
  const auto json = std::make_shared<bool>(false);
  add_under(line, quarantine, "list", "One line a message", [json](const ops::Sockets& sockets) {
    return ops::run_quarantine_list(sockets.admin, *json);
  })->add_flag("--json", *json, "The daemon's pages as they are");
  const auto sequence = std::make_shared<std::uint64_t>(0);
  CLI::App* show =
      add_under(line, quarantine, "show", "Everything of one message", [json, sequence](const ops::Sockets& sockets) {
        return ops::run_quarantine_show(*sequence, sockets.admin, *json);
      });
  show->add_option("SEQ", *sequence, "Its sequence")->required();
  show->add_flag("--json", *json, "The daemon's answer as it is");
  add_under(line, quarantine, "export", "All of it as NDJSON, the format of POST /telemetry:batch",
            [](const ops::Sockets& sockets) { return ops::run_quarantine_export(sockets.admin); });
  add_change(line, quarantine, "retry", "Put messages back at the tail of the queue, with their Message-Ids",
             ops::run_quarantine_retry);
  add_change(line, quarantine, "purge", "Delete messages for ever", ops::run_quarantine_purge);
}

void add_snapshot(CommandLine& line) {
  const auto file = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  CLI::App* snapshot = add_verb(line, "snapshot", "Copy the queue into one file, while the daemon runs or not",
                                [&line, file, json] { return ops::run_snapshot(*file, line.options.config, *json); });
  snapshot->add_option("FILE", *file, "A file that is not there yet")->required();
  snapshot->add_flag("--json", *json, "Print {\"file\",\"bytes\",\"queued_messages\",\"quarantine_messages\"}");
  snapshot->footer("Look into it with: sqlite3 FILE 'select * from summary'");
}

}  // namespace

void add_trace_verbs(CommandLine& line) {
  add_receipt(line);
  add_replay(line);
  add_quarantine(line);
  add_snapshot(line);
}

}  // namespace twinspool
