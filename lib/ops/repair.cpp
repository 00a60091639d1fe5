#include "ops/repair.h"

#include <fmt/format.h>

#include <cstdio>

#include "ops/admin_call.h"
#include "ops/store_path.h"
#include "util/json.h"

namespace twinspool::ops {

namespace {

std::string as_json(const RepairReport& report, bool applied) {
  json::Writer out;
  out.begin_object().key("database").string(report.database).key("applied").boolean(applied);
  out.key("messages").integer(static_cast<std::int64_t>(report.messages));
  out.key("damaged").integer(static_cast<std::int64_t>(report.damaged)).key("lost");
  if (report.lost_known)
    out.integer(static_cast<std::int64_t>(report.lost));
  else
    out.null();
  out.key("damaged_pages").integer(static_cast<std::int64_t>(report.damaged_pages));
  out.key("whole").boolean(report.whole()).key("kept_as").string(report.kept_as).end_object();
  return out.take() + "\n";
}

}  // namespace

std::string render_repair(const RepairReport& report, bool applied, bool json) {
  if (json) return as_json(report, applied);
  std::string text = fmt::format("{}\n  messages {}: {}\n", report.database,
                                 applied ? "carried over" : "that can be carried over", report.messages);
  text += fmt::format("  damaged, {} the quarantine: {}\n", applied ? "in" : "would go to", report.damaged);
  text += "  lost: " + (report.lost_known ? std::to_string(report.lost) : "not known, the figures are damaged") + "\n";
  text += fmt::format("  damaged pages: {}\n", report.damaged_pages);
  if (!applied) return text + "nothing was changed; `twinspool repair --apply` makes a new file and keeps this one\n";
  return text + "the old file is kept as " + report.kept_as + "\n" +
         (report.whole() ? "" : "only part of the queue could be salvaged\n");
}

ExitCode run_repair(const RepairOptions& options) {
  const Result<std::string> file = find_store(options.file, options.config);
  const Result<RepairReport> report = !file           ? tl::unexpected(file.error())
                                      : options.apply ? apply_repair(*file)
                                                      : plan_repair(*file);
  if (!report) {
    std::fprintf(stderr, "twinspool: %s%s\n", report.error().what.c_str(),
                 report.error().code == Errc::busy ? ": stop it first (systemctl stop twinspoold)" : "");
    return kFailed;
  }
  std::fputs(render_repair(*report, options.apply, options.json).c_str(), stdout);
  return report->whole() ? kDone : kFailed;
}

ExitCode run_acknowledge(const std::string& admin_socket, bool json) {
  const auto response = ask_admin(admin_socket, "POST", "/acknowledge");
  if (!response) return response.error();
  if (json) {
    std::printf("%s\n", response->body.c_str());
    return kDone;
  }
  const auto document = json::Document::parse(response->body);
  const std::string what = document ? document->value("acknowledged").value_or("") : "";
  std::printf("%s\n", what.empty() ? "nothing to acknowledge" : ("acknowledged: " + what).c_str());
  return kDone;
}

}  // namespace twinspool::ops
