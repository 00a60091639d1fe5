#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "ops/bench.h"
#include "verbs.h"

namespace twinspool {

void add_bench_verbs(CommandLine& line) {
  struct Given {
    ops::BenchOptions options;
    double seconds = 5;
  };
  const auto given = std::make_shared<Given>();
  CLI::App* bench =
      add_verb(line, "bench", "How many messages a second it stores; writes telemetry, so it wants --yes",
               with_sockets(line, [given](const ops::Sockets& sockets) {
                 ops::LoadOptions& load = given->options.load;
                 if (load.count == 0) {
                   load.duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(given->seconds));
                 }
                 return ops::run_bench(given->options, sockets.message);
               }));
  ops::LoadOptions& load = given->options.load;
  bench->add_option("--clients", load.clients, "Connections, each with a twin of its own")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  bench->add_option("--in-flight", load.in_flight, "Requests that a client has under way at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  bench->add_option("--batch", load.batch, "Messages of a request; 0 sends single ones")
      ->capture_default_str()
      ->check(CLI::Range(0, 10000));
  bench->add_option("--size", load.body_bytes, "Bytes of a message")
      ->capture_default_str()
      ->check(CLI::Range(8, 32768));
  bench->add_option("--seconds", given->seconds, "How long")->capture_default_str()->check(CLI::Range(0.1, 86400.0));
  bench->add_option("--count", load.count, "How many messages, instead of how long");
  bench->add_option("--rate", load.rate, "Messages a second, whether answers come or not; 0 is as fast as they come")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  bench->add_option("--twin", load.twin_prefix, "What the twins' names begin with (letters, digits, - . _ ~)")
      ->capture_default_str()
      ->check([](const std::string& name) {
        const bool plain =
            name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") ==
            std::string::npos;
        return plain ? std::string() : std::string("letters, digits, - . _ ~ are accepted");
      });
  bench->add_flag("--yes", given->options.yes, "Do it: the messages are stored and will be delivered");
  bench->add_flag("--json", given->options.json, "Print the result as JSON");
  bench->footer(
      "Examples:\n"
      "  twinspool bench --clients 64 --yes\n"
      "  twinspool bench --clients 8 --batch 100 --count 100000 --yes --json\n"
      "Prints messages a second, and within what time half, 99 % and 99.9 % of the answers came.");
}

}  // namespace twinspool
