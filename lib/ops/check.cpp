#include "ops/check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "ops/store_path.h"
#include "util/json.h"

namespace twinspool::ops {

namespace {

constexpr const char* kWhatToDo =
    "stop twinspoold and run `twinspool repair --plan`, or just restart it: it salvages what can be read and keeps the "
    "old file";

std::string as_json(const IntegrityReport& report) {
  json::Writer out;
  out.begin_object().key("database").string(report.database).key("sound").boolean(report.sound());
  out.key("deep").boolean(report.deep).key("in_use").boolean(report.in_use);
  out.key("queued").integer(static_cast<std::int64_t>(report.queued));
  out.key("quarantined").integer(static_cast<std::int64_t>(report.quarantined));
  out.key("rows_checked").integer(static_cast<std::int64_t>(report.rows_checked));
  out.key("findings").begin_array();
  for (const std::string& finding : report.findings) out.string(finding);
  out.end_array().key("findings_more").integer(static_cast<std::int64_t>(report.findings_more)).end_object();
  return out.take() + "\n";
}

}  // namespace

std::string render_check(const IntegrityReport& report, bool json) {
  if (json) return as_json(report);
  std::string text = fmt::format("{}: {} queued, {} in the quarantine{}\n", report.database, report.queued,
                                 report.quarantined, report.in_use ? " (in use by twinspoold)" : "");
  for (const std::string& finding : report.findings) text += "  wrong: " + finding + "\n";
  if (report.findings_more > 0) text += fmt::format("  and {} more\n", report.findings_more);
  if (!report.sound()) return text + "what to do: " + kWhatToDo + "\n";
  if (report.deep) return text + fmt::format("sound: structure and the checksums of {} rows\n", report.rows_checked);
  return text + "sound, as far as a quick look tells; --deep reads every page and row\n";
}

ExitCode run_check(const CheckOptions& options) {
  const Result<std::string> file = find_store(options.file, options.config);
  if (!file) {
    std::fprintf(stderr, "twinspool: %s\n", file.error().what.c_str());
    return kFailed;
  }
  const bool shows_progress = !options.json && isatty(STDERR_FILENO) == 1;
  const Result<IntegrityReport> report =
      check_integrity(*file, options.deep, [&](std::uint64_t rows, std::uint64_t of_about) {
        if (shows_progress)
          std::fprintf(stderr, "\rrows: %llu of about %llu", static_cast<unsigned long long>(rows),
                       static_cast<unsigned long long>(of_about));
      });
  if (shows_progress && report && report->rows_checked > 0) std::fputs("\n", stderr);
  if (!report) {
    std::fprintf(stderr, "twinspool: cannot look at the queue: %s\n", report.error().what.c_str());
    return kFailed;
  }
  std::fputs(render_check(*report, options.json).c_str(), stdout);
  return report->sound() ? kDone : kFailed;
}

}  // namespace twinspool::ops
