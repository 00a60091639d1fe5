// standin-cloud: the stand-in cloud as a program, for scripts/run and the end-to-end tests.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "support/certificates.h"
#include "support/standin_cloud.h"
#include "support/standin_control.h"
#include "support/standin_identity.h"

namespace {

using namespace twinspool;

struct CommandLine {
  std::string directory;
  test::StandInOptions options;
  std::vector<std::string> missing;
  bool identity = false;
};

// Whole or not at all: whoever waits for the file never reads half a number.
bool write_whole(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << text;
    if (!file.flush()) return false;
  }
  return std::rename(temporary.c_str(), path.c_str()) == 0;
}

// Those of an earlier start, so that whoever trusts its CA still does after a restart; else new ones.
void use_certificates(CommandLine& line) {
  const std::string& directory = line.directory;
  line.options.cert_file = directory + "/server.pem";
  line.options.key_file = directory + "/server.key";
  const auto there = [](const std::string& path) { return ::access(path.c_str(), R_OK) == 0; };
  if (there(directory + "/ca.pem") && there(line.options.cert_file) && there(line.options.key_file)) return;
  CertificateAuthority authority(directory);
  authority.issue("server", CertificateRequest::for_hosts({"localhost", "127.0.0.1"}));
}

// The issuer of tokens beside the cloud, with an application's certificate for it: application.pem and .key.
Result<std::unique_ptr<test::StandInIdentity>> start_identity(net::EventLoop& loop, test::StandInCloud& cloud,
                                                              const CommandLine& line) {
  const std::string& directory = line.directory;
  auto identity = test::StandInIdentity::start(loop, &cloud,
                                               {.cert_file = line.options.cert_file,
                                                .key_file = line.options.key_file,
                                                .control_path = directory + "/identity.sock"});
  if (!identity) return identity;
  CertificateRequest request;
  request.key = CertificateRequest::Key::rsa;
  CertificateAuthority authority(directory, "application-ca");
  (*identity)->issuer().settings.certificate_file = authority.issue("application", request).cert_file;
  const std::string ports = std::to_string((*identity)->port()) + " " + std::to_string((*identity)->plain_port());
  if (!write_whole(directory + "/identity-ports", ports + "\n")) return fail(Errc::storage, "cannot write the ports");
  return identity;
}

int run(CommandLine& line) {
  const std::string& directory = line.directory;
  net::EventLoop loop;
  auto cloud = test::StandInCloud::start(loop, line.options);
  if (!cloud) {
    std::cerr << "standin-cloud: " << cloud.error().what << "\n";
    return 1;
  }
  for (const std::string& twin : line.missing) (*cloud)->set_missing(twin, "", true);
  auto control = test::StandInControl::start(loop, **cloud, directory + "/control.sock");
  if (!control) {
    std::cerr << "standin-cloud: " << control.error().what << "\n";
    return 1;
  }
  std::unique_ptr<test::StandInIdentity> identity;
  if (line.identity) {
    auto started = start_identity(loop, **cloud, line);
    if (!started) {
      std::cerr << "standin-cloud: " << started.error().what << "\n";
      return 1;
    }
    identity = std::move(*started);
  }
  const std::string port = std::to_string((*cloud)->port());
  if (!write_whole(directory + "/port", port + "\n")) {
    std::cerr << "standin-cloud: cannot write " << directory << "/port\n";
    return 1;
  }
  std::cout << "standin-cloud: https://localhost:" << port << ", CA " << directory << "/ca.pem, control " << directory
            << "/control.sock" << std::endl;
  const net::SignalWatcher on_term(loop, SIGTERM, [&loop] { loop.stop(); });
  const net::SignalWatcher on_int(loop, SIGINT, [&loop] { loop.stop(); });
  loop.run();
  std::cout << "standin-cloud: stopped, " << (*cloud)->stats().accepted << " messages on record" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine line;
  CLI::App app("A stand-in for the cloud: SendTelemetry over TLS on 127.0.0.1, with faults on request");
  app.add_option("--dir", line.directory,
                 "Where ca.pem, port, control.sock and records.ndjson are; certificates and records of an earlier run "
                 "there are used again")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--port", line.options.port, "Port of the HTTPS server; 0: the kernel's choice")
      ->capture_default_str();
  app.add_option("--token", line.options.token, "Bearer token that telemetry needs; empty: none");
  app.add_flag("--identity", line.identity,
               "Also an issuer of tokens: token endpoint and managed identity at the ports in identity-ports, "
               "application.pem and .key, control identity.sock");
  app.add_option("--missing", line.missing, "Twin that does not exist (repeatable)");
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  line.options.records_file = line.directory + "/records.ndjson";
  use_certificates(line);
  return run(line);
}
