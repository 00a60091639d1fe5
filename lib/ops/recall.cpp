#include "ops/recall.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "ops/admin_call.h"
#include "ops/text.h"

namespace twinspool::ops {

namespace {

constexpr Duration kRecallTime = std::chrono::minutes(30);

ExitCode carry_out(const std::string& admin_socket, const char* target, std::string body, const std::string& done,
                   bool json) {
  const auto response = ask_admin(admin_socket, "POST", target, std::move(body), kRecallTime);
  if (!response) return response.error();
  const auto recalled = json::Document::parse(response->body);
  if (!recalled) {
    std::fprintf(stderr, "twinspool: the daemon's answer is not JSON: %s\n", recalled.error().what.c_str());
    return kFailed;
  }
  std::fputs(json ? (response->body + "\n").c_str() : render_recalled(*recalled, done).c_str(), stdout);
  const bool all_done =
      recalled->value("stopped").value_or("").empty() && recalled->value("unknown").value_or("0") == "0";
  return all_done ? kDone : kFailed;
}

std::string body_of(const QuarantineOptions& options) {
  json::Writer out;
  out.begin_object();
  if (options.all) {
    out.key("all").boolean(true);
  } else {
    out.key("sequences").begin_array();
    for (const std::uint64_t sequence : options.sequences) out.integer(static_cast<std::int64_t>(sequence));
    out.end_array();
  }
  out.end_object();
  return out.take();
}

ExitCode run_quarantine(const QuarantineOptions& options, const std::string& admin_socket, const char* target,
                        const char* would, const char* done) {
  if (options.all == options.sequences.empty()) {
    if (options.yes) return carry_out(admin_socket, target, body_of(options), done, options.json);
    const std::string what =
        options.all ? "every quarantined message" : fmt::format("{} quarantined messages", options.sequences.size());
    std::fprintf(stderr, "twinspool: this %s; look at it with `twinspool quarantine list`, then say --yes\n",
                 fmt::format(fmt::runtime(would), what).c_str());
    return kUsage;
  }
  std::fputs("twinspool: name the sequences, or say --all\n", stderr);
  return kUsage;
}

}  // namespace

std::string render_recalled(const json::Document& recalled, const std::string& done) {
  const auto value = [&](const char* name) { return printable(recalled.value(name).value_or("0")); };
  std::string text = fmt::format("{} messages ({} bytes) {}\n", value("messages"), value("bytes"), done);
  if (value("damaged") != "0") text += fmt::format("{} are damaged on disk and are never sent\n", value("damaged"));
  if (value("unknown") != "0") text += fmt::format("{} are not in the quarantine\n", value("unknown"));
  if (const std::string stopped = printable(recalled.value("stopped").value_or("")); !stopped.empty())
    text += fmt::format("stopped early: {}\n", stopped);
  if (recalled.value("go_on_since"))
    text += fmt::format("when there is room, go on with --since {}\n", value("go_on_since"));
  return text;
}

ExitCode run_replay(const ReplayOptions& options, const std::string& admin_socket) {
  json::Writer out;
  out.begin_object().key("twin").string(options.twin).key("since").string(options.since);
  if (!options.until.empty()) out.key("until").string(options.until);
  out.key("dry_run").boolean(!options.yes).end_object();
  if (options.yes)
    return carry_out(admin_socket, "/replay", out.take(), "put back at the tail of the queue", options.json);
  const ExitCode counted = carry_out(admin_socket, "/replay", out.take(),
                                     fmt::format("of {} would go to the tail of the queue again, with their "
                                                 "Message-Ids, and to the cloud a second time",
                                                 options.twin),
                                     options.json);
  if (counted != kDone) return counted;
  std::fputs("twinspool: nothing was done: say --yes to do it\n", stderr);
  return kUsage;
}

ExitCode run_quarantine_retry(const QuarantineOptions& options, const std::string& admin_socket) {
  return run_quarantine(options, admin_socket, "/quarantine/retry", "puts {} back at the tail of the queue",
                        "put back at the tail of the queue");
}

ExitCode run_quarantine_purge(const QuarantineOptions& options, const std::string& admin_socket) {
  return run_quarantine(options, admin_socket, "/quarantine/purge", "deletes {} for ever", "deleted");
}

}  // namespace twinspool::ops
