#include "ops/bench.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "ops/sockets.h"
#include "util/json.h"

namespace twinspool::ops {
namespace {

constexpr double kQuantiles[] = {0.5, 0.99, 0.999};
constexpr const char* kQuantileNames[] = {"p50", "p99", "p99.9"};

double per_second(const LoadReport& report) {
  return report.seconds > 0 ? static_cast<double>(report.messages) / report.seconds : 0;
}

std::string as_json(const LoadOptions& load, const LoadReport& report) {
  json::Writer out;
  out.begin_object();
  out.key("clients").integer(static_cast<std::int64_t>(load.clients));
  out.key("in_flight").integer(static_cast<std::int64_t>(load.in_flight));
  out.key("batch").integer(static_cast<std::int64_t>(load.batch));
  out.key("body_bytes").integer(static_cast<std::int64_t>(load.body_bytes));
  out.key("messages").integer(static_cast<std::int64_t>(report.messages));
  out.key("seconds").number(report.seconds);
  out.key("messages_per_second").number(per_second(report));
  out.key("latency_us").begin_object();
  for (int i = 0; i < 3; ++i)
    out.key(kQuantileNames[i]).integer(static_cast<std::int64_t>(report.latencies.quantile(kQuantiles[i])));
  out.end_object().key("refused").begin_object();
  for (const auto& [status, count] : report.refused)
    out.key(std::to_string(status)).integer(static_cast<std::int64_t>(count));
  out.end_object().end_object();
  return out.take();
}

}  // namespace

std::string what_it_will_do(const LoadOptions& load) {
  const std::string length =
      load.count > 0 ? fmt::format("{} messages", load.count)
                     : fmt::format("messages for {:g} s", std::chrono::duration<double>(load.duration).count());
  return fmt::format(
      "bench stores {} of {} bytes over {} connection{}, as telemetry of the twins {}0 to {}{}. They are real "
      "messages: the "
      "daemon delivers them to its cloud, and until then they fill its queue",
      length, load.body_bytes, load.clients, load.clients == 1 ? "" : "s", load.twin_prefix, load.twin_prefix,
      load.clients - 1);
}

std::string render_bench(const LoadOptions& load, const LoadReport& report, bool json) {
  if (json) return as_json(load, report);
  std::string text =
      fmt::format("{} messages in {:.1f} s: {:.0f}/s; a 204 took", report.messages, report.seconds, per_second(report));
  for (int i = 0; i < 3; ++i) {
    text += fmt::format("{} {:.2f} ms ({})", i == 0 ? "" : ",",
                        static_cast<double>(report.latencies.quantile(kQuantiles[i])) / 1000, kQuantileNames[i]);
  }
  for (const auto& [status, count] : report.refused)
    text += fmt::format("\n{} requests were refused with {}", count, status);
  if (!report.first_refusal.empty()) text += "\nthe first: " + report.first_refusal.substr(0, 500);
  return text;
}

ExitCode run_bench(const BenchOptions& options, const std::string& socket_path) {
  if (!options.yes) {
    std::fprintf(stderr, "twinspool: %s. Say --yes if that is meant.\n", what_it_will_do(options.load).c_str());
    return kUsage;
  }
  LoadOptions load = options.load;
  load.socket = socket_path;
  const Result<LoadReport> report = run_load(load);
  if (!report) {
    const bool unreachable = report.error().code == Errc::unreachable;
    const std::string text = unreachable ? why_not_reachable(socket_path, report.error().what)
                                         : "the bench ended early: " + report.error().what;
    std::fprintf(stderr, "twinspool: %s\n", text.c_str());
    return unreachable ? kNotReachable : kFailed;
  }
  std::printf("%s\n", render_bench(load, *report, options.json).c_str());
  return report->messages > 0 ? kDone : kFailed;
}

}  // namespace twinspool::ops
