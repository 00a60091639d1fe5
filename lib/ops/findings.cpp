#include "ops/findings.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/text.h"
#include "util/json.h"

namespace twinspool::ops {

namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kIndent = 18;

std::string_view name_of(Finding::Result result) {
  switch (result) {
    case Finding::Result::good:
      return "ok";
    case Finding::Result::warning:
      return "warning";
    case Finding::Result::broken:
      return "BROKEN";
    case Finding::Result::skipped:
      return "-";
  }
  return "?";
}

std::string coloured(std::string_view text, Finding::Result result, Colour colour) {
  if (colour == Colour::off || result == Finding::Result::skipped) return std::string(text);
  return fmt::format("\033[1;{}m{}\033[0m",
                     result == Finding::Result::good      ? 32
                     : result == Finding::Result::warning ? 33
                                                          : 31,
                     text);
}

// Broken at spaces, and where a word is longer than a line.
std::string wrapped(std::string_view first, const std::string& text) {
  std::string_view rest = text;
  std::string out(first);
  while (columns_of(rest) > kColumns - kIndent) {
    std::string_view line = first_columns(rest, kColumns - kIndent);
    if (const auto space = line.rfind(' '); space != std::string_view::npos && space > 0) line = line.substr(0, space);
    out += std::string(line) + "\n" + std::string(kIndent, ' ');
    rest.remove_prefix(line.size());
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  }
  return out + std::string(rest) + "\n";
}

}  // namespace

Finding broken_by(std::string step, const std::string& error, const std::string& remedy) {
  constexpr std::string_view kAnotherAddress = "cannot connect to ";
  std::size_t cut = error.find("; ");
  while (cut != std::string::npos && error.compare(cut + 2, kAnotherAddress.size(), kAnotherAddress) == 0)
    cut = error.find("; ", cut + 2);
  if (cut == std::string::npos) return broken(std::move(step), error, remedy);
  return broken(std::move(step), error.substr(0, cut), error.substr(cut + 2));
}

const Finding* first_broken(const std::vector<Finding>& findings) {
  const auto found = std::find_if(findings.begin(), findings.end(),
                                  [](const Finding& finding) { return finding.result == Finding::Result::broken; });
  return found == findings.end() ? nullptr : &*found;
}

std::string render_finding(const Finding& finding, Colour colour) {
  const std::string result = fmt::format("{:<8}", name_of(finding.result));
  std::string text =
      wrapped(fmt::format("{:<8}  ", finding.step) + coloured(result, finding.result, colour), printable(finding.text));
  if (!finding.remedy.empty()) text += wrapped(fmt::format("{:>{}}", "do: ", kIndent), printable(finding.remedy));
  return text;
}

std::string render_verdict(const std::vector<Finding>& findings) {
  if (const Finding* first = first_broken(findings))
    return fmt::format("\nThe first broken step is {}.\n", first->step);
  const bool warned = std::any_of(findings.begin(), findings.end(),
                                  [](const Finding& finding) { return finding.result == Finding::Result::warning; });
  return warned ? "\nNothing is broken; see the warnings.\n" : "\nNothing is broken.\n";
}

std::string findings_json(const std::vector<Finding>& findings) {
  const Finding* first = first_broken(findings);
  json::Writer out;
  out.begin_object().key("healthy").boolean(first == nullptr);
  out.key("broken").string(first == nullptr ? "" : first->step).key("steps").begin_array();
  for (const Finding& finding : findings) {
    const std::string_view result = finding.result == Finding::Result::broken    ? "broken"
                                    : finding.result == Finding::Result::skipped ? "skipped"
                                                                                 : name_of(finding.result);
    out.begin_object().key("step").string(finding.step).key("result").string(result);
    out.key("text").string(finding.text).key("remedy").string(finding.remedy).end_object();
  }
  out.end_array().end_object();
  return out.take() + "\n";
}

}  // namespace twinspool::ops
