#include "ops/explain.h"

#include <fmt/format.h>

#include <cstdio>

#include "forward/outcome.h"
#include "util/json.h"

namespace twinspool::ops {

namespace {

std::string_view name_of(forward::Verdict verdict) {
  switch (verdict) {
    case forward::Verdict::delivered:
      return "delivered";
    case forward::Verdict::quarantine:
      return "quarantine";
    case forward::Verdict::hold_lane:
      return "hold_lane";
    case forward::Verdict::retry_lane:
      return "retry_lane";
    case forward::Verdict::renew_token:
      return "renew_token";
    case forward::Verdict::pause_endpoint:
      return "pause_endpoint";
    case forward::Verdict::hold_endpoint:
      return "hold_endpoint";
    case forward::Verdict::retry_path:
      return "retry_path";
  }
  return "unknown";
}

}  // namespace

std::string explain(const ExplainOptions& options) {
  http::Response answer{.status = options.status, .headers = {}, .body = {}};
  if (!options.code.empty()) answer.headers.add("x-ms-error-code", options.code);
  if (options.page) answer.headers.add("Content-Type", "text/html");
  const forward::Outcome outcome = forward::classify(answer, {});
  const forward::Meaning meaning = forward::meaning_of(outcome.verdict);
  if (options.json) {
    json::Writer out;
    out.begin_object().key("status").integer(options.status).key("code").string(options.code);
    out.key("verdict").string(name_of(outcome.verdict)).key("class").string(forward::to_string(outcome.failure));
    out.key("concerns").string(meaning.concerns).key("consequence").string(meaning.consequence).end_object();
    return out.take() + "\n";
  }
  return fmt::format("{}{}{}{}\n  concerns  {}\n  then      {}\n", options.status, options.code.empty() ? "" : " ",
                     options.code, options.page ? " with an HTML page" : "", meaning.concerns, meaning.consequence);
}

ExitCode run_explain(const ExplainOptions& options) {
  std::fputs(explain(options).c_str(), stdout);
  return kDone;
}

}  // namespace twinspool::ops
