#include <CLI/CLI.hpp>
#include <memory>

#include "ops/delivery.h"
#include "ops/explain.h"
#include "ops/lanes.h"
#include "verbs.h"

namespace twinspool {

namespace {

CLI::App* add_delivery_verb(CommandLine& line, ops::DeliveryVerb verb, const char* name, const char* purpose) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* app = add_verb(line, name, purpose, with_sockets(line, [json, verb](const ops::Sockets& sockets) {
                             return ops::run_delivery_verb(verb, sockets.admin, *json);
                           }));
  app->add_flag("--json", *json, "Print the daemon's answer as it is");
  return app;
}

void add_lanes(CommandLine& line) {
  const auto options = std::make_shared<ops::LanesOptions>();
  CLI::App* lanes = add_verb(
      line, "lanes", "The twins that are held or wait for their next try, and why",
      with_sockets(line, [options](const ops::Sockets& sockets) { return ops::run_lanes(*options, sockets.admin); }));
  lanes->add_option("--limit", options->limit, "How many are listed, 1000 at the most")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  lanes->add_flag("--json", options->json, "The daemon's answer as it is");
  lanes->footer(
      "Held: the cloud does not know the twin or its component; retrying: it failed for this twin. Held ones come "
      "first,\n"
      "then what has waited longest. Where the whole cloud is away no twin is listed: see `twinspool status`.\n"
      "How many messages of each twin wait: sqlite3 -readonly QUEUE 'select * from lanes'\n"
      "Examples:\n"
      "  twinspool lanes\n"
      "  twinspool explain 404 DigitalTwinNotFound\n"
      "  twinspool kick");
}

void add_explain(CommandLine& line) {
  const auto options = std::make_shared<ops::ExplainOptions>();
  CLI::App* explain = add_verb(line, "explain", "What is done about an answer of the cloud",
                               [options] { return ops::run_explain(*options); });
  explain->add_option("STATUS", options->status, "The answer's HTTP status")->required()->check(CLI::Range(200, 599));
  explain->add_option("CODE", options->code, "Its error code, such as DigitalTwinNotFound");
  explain->add_flag("--html", options->page, "The answer is an HTML page, as proxies and portals send them");
  explain->add_flag("--json", options->json,
                    "Print {\"status\",\"code\",\"verdict\",\"class\",\"concerns\",\"consequence\"}");
  explain->footer(
      "Examples:\n"
      "  twinspool explain 404 DigitalTwinNotFound\n"
      "  twinspool explain 200 --html\n"
      "It needs no daemon.");
}

}  // namespace

void add_delivery_verbs(CommandLine& line) {
  add_delivery_verb(line, ops::DeliveryVerb::pause, "pause", "Send nothing to the cloud until `resume`")
      ->footer(
          "What is under way ends as usual; applications go on sending, and the queue grows.\n"
          "A pause survives a reload of the configuration. It ends with the daemon: after a restart or a power cut "
          "messages\n"
          "flow again. To collect for good, set forward.endpoint to \"\".\n"
          "Example:\n  twinspool pause && twinspool status");
  add_delivery_verb(line, ops::DeliveryVerb::resume, "resume", "Send again after `pause`")
      ->footer("Without a pause it changes nothing.\nExample:\n  twinspool resume");
  add_delivery_verb(line, ops::DeliveryVerb::kick, "kick", "Try now whatever waits for its next try")
      ->footer(
          "Ends the waits of the endpoint and of every held or retrying twin, once: for when the line is back, or the "
          "missing\n"
          "twin was created. While paused it is refused.\n"
          "Example:\n  twinspool kick && twinspool status");
  add_lanes(line);
  add_explain(line);
}

}  // namespace twinspool
