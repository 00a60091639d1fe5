// twinspool send: one message, from the command line to the disk.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "http/message.h"
#include "ops/exit_code.h"
#include "util/error.h"

namespace twinspool::ops {

struct SendOptions {
  std::string twin;         // plain text, as is the component: encoded here
  std::string component;    // empty: none
  std::string id;           // empty: a new UUID
  std::string source_time;  // empty: the daemon stamps the time
  std::string file;         // empty or "-": standard input
  bool json = false;        // print the result as JSON
};

// As JavaScript's encodeURIComponent and the batch call have it: RFC 3986's unreserved characters and !*'() stay, all
// else becomes %XX. The same twin is then the same lane, however it comes.
std::string percent_encoded(std::string_view text);

std::string random_uuid();  // version 4

// Errc::invalid: an argument that cannot be sent. Pure.
Result<http::Request> telemetry_request(const SendOptions& options, const std::string& id, std::string body);

// What the command prints about an answer, and its exit code. Pure.
struct SendReport {
  ExitCode code = kFailed;
  std::string text;  // to stdout where done, else to stderr
};
SendReport report_of(const http::Response& response, const std::string& id, bool json);

ExitCode run_send(const SendOptions& options, const std::string& socket_path);

}  // namespace twinspool::ops
