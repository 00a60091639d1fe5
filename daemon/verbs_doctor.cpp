#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "ops/doctor.h"
#include "ops/selftest.h"
#include "verbs.h"

namespace twinspool {

namespace {

void add_doctor(CommandLine& line) {
  const auto options = std::make_shared<ops::DoctorOptions>();
  CLI::App* doctor = add_verb(line, "doctor", "Why does it not deliver? Looks at each step and names the broken one",
                              [&line, options] {
                                options->config = line.options.config;
                                options->admin_socket = line.options.admin_socket;
                                options->colour = !line.no_colour;
                                return ops::run_doctor(*options);
                              });
  doctor->add_option("--twin", options->twin,
                     "Send a real message, {\"twinspool\":\"doctor\"}, to this twin (default: ask for a twin that does "
                     "not exist, which changes nothing)");
  doctor->add_flag("--json", options->json, "Print {\"healthy\",\"broken\",\"steps\":[{\"step\",\"result\",..}]}");
  doctor->footer(
      "Steps: config, daemon, store, disk, clock, dns, tcp, proxy, tls, token, probe, twins.\n"
      "Examples:\n"
      "  sudo twinspool doctor\n"
      "  sudo twinspool doctor --twin pump-17\n"
      "It needs no daemon, but its files: the configuration, secrets and certificates (sudo). Nothing is changed.\n"
      "Exit codes: 0 nothing is broken, 1 something is, and the text names it and the remedy.");
}

void add_selftest(CommandLine& line) {
  CLI::App* selftest = line.app.add_subcommand("selftest", "What this machine sustains");
  selftest->require_subcommand(1);
  selftest->fallthrough();
  const auto options = std::make_shared<ops::StorageTestOptions>();
  const auto each = std::make_shared<double>(2);
  CLI::App* storage = selftest->add_subcommand("storage", "Times syncs, and what the disk stores and wears off");
  storage->callback([&line, options, each] {
    line.carry_out = [&line, options, each] {
      options->config = line.options.config;
      options->admin_socket = line.options.admin_socket;
      options->each = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*each));
      return ops::run_storage_test(*options);
    };
  });
  storage->add_option("--directory", options->directory, "Where to test (default: where store.path is)");
  storage->add_option("--rate", options->rate, "Messages a second, for the wear (default: what comes in now)")
      ->check(CLI::NonNegativeNumber);
  storage->add_option("--seconds", *each, "Of each of its four parts")
      ->capture_default_str()
      ->check(CLI::Range(0.05, 600.0));
  storage->add_flag("--json", options->json, "Print the figures as JSON");
  storage->footer(
      "Examples:\n"
      "  sudo -u twinspool twinspool selftest storage\n"
      "  sudo -u twinspool twinspool selftest storage --rate 20 --json\n"
      "Writes into a directory of its own beside the queue, for some seconds, and removes it. Messages of 300 bytes "
      "are\n"
      "stored and delivered with 1, 8 and 64 under way; the bytes are those that the kernel counts. A running daemon\n"
      "shares the disk meanwhile.");
}

}  // namespace

void add_doctor_verbs(CommandLine& line) {
  add_doctor(line);
  add_selftest(line);
}

}  // namespace twinspool
