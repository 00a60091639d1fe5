#include <CLI/CLI.hpp>
#include <memory>

#include "ops/export.h"
#include "ops/import.h"
#include "ops/list.h"
#include "ops/tail.h"
#include "verbs.h"

namespace twinspool {

namespace {

void add_store(CLI::App* verb, ops::StoreOptions& store) {
  verb->add_option("--store", store.file, "Another queue's file, such as a snapshot (default: store.path)");
}

void add_list(CommandLine& line) {
  const auto options = std::make_shared<ops::ListOptions>();
  CLI::App* list = add_verb(line, "list", "What waits, oldest first, with or without a daemon", [&line, options] {
    options->store.config = line.options.config;
    return ops::run_list(*options);
  });
  list->add_option("--twin", options->twin, "Only this twin's, its id as plain text or as `list` shows it");
  list->add_option("--limit", options->limit, "At most so many")->capture_default_str()->check(CLI::PositiveNumber);
  list->add_option("--after", options->after, "Behind this sequence");
  add_store(list, options->store);
  list->add_flag("--json", options->json, "One object a line, with everything of the message");
  list->footer(
      "Examples:\n"
      "  twinspool list --twin pump-17\n"
      "  twinspool list --limit 1000 --json | jq -r .body\n"
      "Reads the queue's file (be in the group twinspool, or use sudo); takes nothing out of it.\n"
      "Exit codes: 0 also where nothing waits, 1 the file cannot be read.");
}

void add_show(CommandLine& line) {
  const auto options = std::make_shared<ops::ShowOptions>();
  CLI::App* show = add_verb(line, "show", "Everything of one message, waiting, quarantined or gone, by its sequence",
                            [&line, options] {
                              options->store.config = line.options.config;
                              return ops::run_show(*options);
                            });
  show->add_option("SEQ", options->sequence, "Its sequence, as `send`, `list` and `receipt` say it")->required();
  add_store(show, options->store);
  show->add_flag("--json", options->json, "One object");
  show->footer(
      "Example:\n  twinspool show 4711\n"
      "A delivered message has its body only where store.keep_delivered keeps it.\n"
      "Exit code 1 where the sequence is not known.");
}

void add_tail(CommandLine& line) {
  const auto options = std::make_shared<ops::TailOptions>();
  CLI::App* tail = add_verb(line, "tail", "Messages as they are accepted, until Ctrl-C", [&line, options] {
    options->store.config = line.options.config;
    return ops::run_tail(*options);
  });
  tail->add_option("--twin", options->twin, "Only this twin's, its id as plain text or as `list` shows it");
  tail->add_option("-n,--lines", options->show, "Begin with so many of the newest that wait")
      ->check(CLI::Range(0, 1000));
  add_store(tail, options->store);
  tail->add_flag("--json", options->json, "One object a line");
  tail->footer(
      "Examples:\n"
      "  twinspool tail --twin pump-17\n"
      "  twinspool tail --json | jq -r .body\n"
      "Looks four times a second. What was delivered before it could be looked at is shown without its body.\n"
      "On a terminal lines are cut to its width.");
}

void add_export(CommandLine& line) {
  const auto options = std::make_shared<ops::ExportOptions>();
  CLI::App* verb =
      add_verb(line, "export", "What waits as NDJSON, the format of POST /telemetry:batch", [&line, options] {
        options->from.store.config = line.options.config;
        return ops::run_export(*options);
      });
  verb->add_option("FILE", options->file, "A file that is not there yet; - or nothing writes to standard output");
  verb->add_option("--twin", options->from.twin, "Only this twin's, its id as plain text or as `list` shows it");
  verb->add_option("--after", options->from.after, "Behind this sequence: to go on with an export that was cut off");
  add_store(verb, options->from.store);
  verb->add_flag("--json", options->json, "Print the summary as {\"messages\",\"damaged\",\"last_sequence\"}");
  verb->footer(
      "Examples:\n"
      "  twinspool export backlog.ndjson\n"
      "  twinspool export | gzip > backlog.ndjson.gz\n"
      "  twinspool export --store /var/backups/queue.db - | jq -r .twin | sort | uniq -c\n"
      "Works beside the daemon and without it, in short slices, and takes nothing out of the queue: what is imported\n"
      "elsewhere as well reaches the cloud twice. What comes in meanwhile is not part of it. A line break within a "
      "body\n"
      "becomes a space. Exit code 1: not whole, or damaged messages were left out.");
}

void add_import(CommandLine& line) {
  const auto options = std::make_shared<ops::ImportOptions>();
  CLI::App* verb = add_verb(line, "import", "Store the messages of an export, or of any NDJSON in that format",
                            with_sockets(line, [options](const ops::Sockets& sockets) {
                              return ops::run_import(*options, sockets.message);
                            }));
  verb->add_option("FILE", options->file, "One message a line; - or nothing reads standard input");
  verb->add_option("--from-line", options->from_line, "Pass over what is before, counting from 1")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb->add_option("--batch", options->batch, "Lines that are stored together")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  verb->add_flag("--json", options->json, "Print {\"accepted\",\"duplicates\",\"next_line\",\"why\"}");
  verb->footer(
      "Examples:\n"
      "  twinspool import backlog.ndjson\n"
      "  zcat backlog.ndjson.gz | twinspool import\n"
      "Where the daemon asks to wait (a full queue), it waits; a restart of the daemon is waited for, a minute at "
      "most.\n"
      "An import that was cut off may be done again within store.dedup_window: the same Message-Id of a twin is "
      "stored\n"
      "once. Later, go on with the --from-line that it named. A bad line stops it, and nothing of that batch is "
      "stored.");
}

}  // namespace

void add_queue_verbs(CommandLine& line) {
  add_list(line);
  add_show(line);
  add_tail(line);
  add_export(line);
  add_import(line);
}

}  // namespace twinspool
