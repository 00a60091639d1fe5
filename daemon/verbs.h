// The operator's command line: each group of verbs declares its subcommands and names what carries each out. The work
// is done by units of lib/ops.
#pragma once

#include <functional>
#include <string>

#include "ops/exit_code.h"
#include "ops/sockets.h"

namespace CLI {
class App;
}

namespace twinspool {

struct CommandLine {
  CLI::App& app;
  ops::SocketOptions options;  // where the daemon is
  bool no_colour = false;
  std::function<ops::ExitCode()> carry_out;  // the verb that was given
};

// A verb that talks to the daemon: `run` gets its sockets; where the configuration does not tell them, that is said and
// the verb fails.
std::function<ops::ExitCode()> with_sockets(CommandLine& line, std::function<ops::ExitCode(const ops::Sockets&)> run);

CLI::App* add_verb(CommandLine& line, const std::string& name, const std::string& purpose,
                   std::function<ops::ExitCode()> carry_out);

void add_doctor_verbs(CommandLine& line);  // doctor, selftest
void add_bench_verbs(CommandLine& line);
void add_status_verbs(CommandLine& line);     // status, drain
void add_message_verbs(CommandLine& line);    // send
void add_queue_verbs(CommandLine& line);      // list, show, tail, export, import
void add_integrity_verbs(CommandLine& line);  // check, repair
void add_delivery_verbs(CommandLine& line);   // pause, resume, kick, lanes, explain
void add_trace_verbs(CommandLine& line);      // receipt, replay, quarantine, snapshot

}  // namespace twinspool
