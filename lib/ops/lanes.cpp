#include "ops/lanes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "ops/admin_call.h"
#include "ops/text.h"
#include "util/time.h"

namespace twinspool::ops {

namespace {

std::string text_of(const json::Document& answer, std::size_t index, const char* name) {
  return answer.value(fmt::format("lanes.{}.{}", index, name)).value_or("");
}

std::string duration_of(const json::Document& answer, std::size_t index, const char* name) {
  const double seconds = std::strtod(text_of(answer, index, name).c_str(), nullptr);
  return to_human(std::chrono::seconds(static_cast<std::int64_t>(seconds)));
}

// What the cloud said: "HTTP 404 DigitalTwinNotFound".
std::string reason_of(const json::Document& answer, std::size_t index) {
  const std::string status = text_of(answer, index, "last_status");
  if (status == "0") return "no answer";
  const std::string code = text_of(answer, index, "last_code");
  return "HTTP " + status + (code.empty() ? "" : " " + code);
}

}  // namespace

std::string render_lanes(const json::Document& answer) {
  const std::size_t count = answer.size("lanes");
  const auto total = [&answer](const char* name) {
    return std::strtoull(answer.value(name).value_or("0").c_str(), nullptr, 10);
  };
  const std::uint64_t waiting = total("held") + total("retrying");
  if (count == 0) {
    return fmt::format("no twin is held or waits for its next try; {} ready, {} in flight\n", total("ready"),
                       total("in_flight"));
  }
  std::size_t width = 4;
  for (std::size_t i = 0; i < count; ++i) width = std::max(width, printable(text_of(answer, i, "twin")).size());
  width = std::min<std::size_t>(width, 40);
  std::string text = fmt::format("{:<{}}  {:<8}  {:>9}  {:>9}  {:>5}  {}\n", "TWIN", width, "STATE", "FOR", "RETRY IN",
                                 "TRIES", "LAST ANSWER");
  for (std::size_t i = 0; i < count; ++i) {
    text += fmt::format("{:<{}}  {:<8}  {:>9}  {:>9}  {:>5}  {}\n", printable(text_of(answer, i, "twin")), width,
                        text_of(answer, i, "state"), duration_of(answer, i, "waits_seconds"),
                        duration_of(answer, i, "retry_in_seconds"), text_of(answer, i, "failures"),
                        printable(reason_of(answer, i)));
  }
  if (waiting > count) text += fmt::format("... and {} more\n", waiting - count);
  text += fmt::format("{} held, {} retrying, {} ready, {} in flight\n", total("held"), total("retrying"),
                      total("ready"), total("in_flight"));
  return text;
}

ExitCode run_lanes(const LanesOptions& options, const std::string& admin_socket) {
  const auto response = ask_admin(admin_socket, "GET", fmt::format("/lanes?limit={}", options.limit));
  if (!response) return response.error();
  if (options.json) {
    std::printf("%s\n", response->body.c_str());
    return kDone;
  }
  const auto answer = json::Document::parse(response->body);
  if (!answer) {
    std::fprintf(stderr, "twinspool: the daemon's answer is not JSON: %s\n", answer.error().what.c_str());
    return kFailed;
  }
  std::fputs(render_lanes(*answer).c_str(), stdout);
  return kDone;
}

}  // namespace twinspool::ops
