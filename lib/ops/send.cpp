#include "ops/send.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <random>

#include "ops/call.h"
#include "ops/sockets.h"
#include "util/json.h"

namespace twinspool::ops {

namespace {

using namespace std::chrono_literals;

constexpr Duration kTimeout = 40s;                  // more than the daemon's own request timeout
constexpr std::size_t kBodyBytesMax = 1024 * 1024;  // the daemon's limit is far below, and its refusal says which
constexpr const char* kApiVersion = "2023-10-31";

Result<std::string> read_body(const std::string& file) {
  const bool from_stdin = file.empty() || file == "-";
  if (from_stdin && isatty(STDIN_FILENO) == 1) {
    std::fputs("twinspool: reading the message from the terminal; end it with Ctrl-D\n", stderr);
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened(from_stdin ? nullptr : std::fopen(file.c_str(), "rbe"),
                                                               [](std::FILE* f) { return std::fclose(f); });
  std::FILE* const input = from_stdin ? stdin : opened.get();
  const std::string name = from_stdin ? "standard input" : file;
  if (input == nullptr) return fail(Errc::invalid, fmt::format("{} cannot be read: {}", name, std::strerror(errno)));
  std::string body;
  for (char part[4096]; std::feof(input) == 0;) {
    body.append(part, std::fread(part, 1, sizeof part, input));
    if (std::ferror(input) != 0)
      return fail(Errc::invalid, fmt::format("{} cannot be read: {}", name, std::strerror(errno)));
    if (body.size() > kBodyBytesMax)
      return fail(Errc::invalid, name + " is too large; at most 32768 bytes are accepted");
  }
  return body;
}

bool has_control(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return true;
  }
  return false;
}

std::string header(const http::Response& response, std::string_view name) {
  return std::string(response.headers.get(name).value_or(""));
}

// The cloud's ErrorResponse, which the daemon's errors have too; else the plain body.
std::string refusal_text(const http::Response& response) {
  std::string text = fmt::format("refused with {}", response.status);
  const auto document = json::Document::parse(response.body);
  if (document) {
    if (const auto code = document->value("error.code")) text += " " + *code;
    if (const auto message = document->value("error.message")) text += ": " + *message;
  } else {
    text += fmt::format(" {}", http::reason_phrase(response.status));
  }
  const std::string retry_after = header(response, "Retry-After");
  if (!retry_after.empty()) text += fmt::format(" (try again in {} s)", retry_after);
  return text;
}

void print_error(const std::string& text) { std::fprintf(stderr, "twinspool: %s\n", text.c_str()); }

}  // namespace

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kUnreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!*'()";
  std::string encoded;
  for (const char c : text) {
    if (kUnreserved.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::string random_uuid() {
  std::random_device random;
  std::uint32_t words[4] = {random(), random(), random(), random()};
  words[1] = (words[1] & 0xFFFF0FFF) | 0x00004000;
  words[2] = (words[2] & 0x3FFFFFFF) | 0x80000000;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:04x}{:08x}", words[0], words[1] >> 16, words[1] & 0xFFFF,
                     words[2] >> 16, words[2] & 0xFFFF, words[3]);
}

Result<http::Request> telemetry_request(const SendOptions& options, const std::string& id, std::string body) {
  if (options.twin.empty()) return fail(Errc::invalid, "the twin's id is empty; a name is accepted");
  if (has_control(id)) return fail(Errc::invalid, "the message id has a control character; plain text is accepted");
  if (has_control(options.source_time)) {
    return fail(Errc::invalid, "the source time has a control character; plain text is accepted");
  }
  http::Request request;
  request.method = "POST";
  request.target = "/digitaltwins/" + percent_encoded(options.twin);
  if (!options.component.empty()) request.target += "/components/" + percent_encoded(options.component);
  request.target += fmt::format("/telemetry?api-version={}", kApiVersion);
  request.headers.add("Host", "localhost");
  request.headers.add("Content-Type", "application/json");
  request.headers.add("Message-Id", id);
  if (!options.source_time.empty()) request.headers.add("Telemetry-Source-Time", options.source_time);
  request.body = std::move(body);
  return request;
}

SendReport report_of(const http::Response& response, const std::string& id, bool json) {
  if (response.status != 204) return {kFailed, refusal_text(response)};
  const std::string sequence = header(response, "Twinspool-Sequence");
  const bool duplicate = header(response, "Twinspool-Duplicate") == "true";
  if (!json) return {kDone, sequence + (duplicate ? " duplicate" : "")};
  json::Writer out;
  out.begin_object().key("sequence");
  if (sequence.empty() || sequence.find_first_not_of("0123456789") != std::string::npos) {
    out.null();
  } else {
    out.raw(sequence);
  }
  out.key("duplicate").boolean(duplicate).key("message_id").string(id).end_object();
  return {kDone, out.take()};
}

ExitCode run_send(const SendOptions& options, const std::string& socket_path) {
  const std::string id = options.id.empty() ? random_uuid() : options.id;
  auto body = read_body(options.file);
  if (!body) {
    print_error(body.error().what);
    return kFailed;
  }
  const auto request = telemetry_request(options, id, std::move(*body));
  if (!request) {
    print_error(request.error().what);
    return kUsage;
  }
  const auto response = call(socket_path, *request, kTimeout);
  if (!response) {
    const bool unreachable = response.error().code == Errc::unreachable;
    print_error(unreachable ? why_not_reachable(socket_path, response.error().what)
                            : fmt::format("no answer from {}: {}; whether the message was stored is not known: send it "
                                          "again with --id {}",
                                          socket_path, response.error().what, id));
    return unreachable ? kNotReachable : kFailed;
  }
  const SendReport report = report_of(*response, id, options.json);
  if (report.code == kDone) {
    std::printf("%s\n", report.text.c_str());
  } else {
    print_error(report.text);
  }
  return report.code;
}

}  // namespace twinspool::ops
