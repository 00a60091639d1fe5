#include "support/standin_faults.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace twinspool::test {
namespace {

constexpr std::array<std::pair<std::string_view, FaultKind>, 8> kNames{{
    {"ok", FaultKind::none},
    {"reset", FaultKind::reset},
    {"accept-reset", FaultKind::accept_reset},
    {"hang", FaultKind::hang},
    {"accept-hang", FaultKind::accept_hang},
    {"cut", FaultKind::cut},
    {"cut-body", FaultKind::cut_body},
    {"slow", FaultKind::slow},
}};

std::optional<Fault> parse_step(std::string_view text, const Fault& common) {
  Fault fault = common;
  const auto* const known =
      std::find_if(kNames.begin(), kNames.end(), [&](const auto& entry) { return entry.first == text; });
  if (known != kNames.end()) {
    fault.kind = known->second;
    return fault;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fault.status);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (fault.status < 200 || fault.status > 599) return std::nullopt;
  fault.kind = FaultKind::status;
  return fault;
}

}  // namespace

Result<void> FaultPlans::set(const std::string& twin, std::string_view steps, const Fault& common, bool repeat) {
  Plan plan{.steps = {}, .repeat = repeat};
  while (!steps.empty()) {
    const std::size_t comma = std::min(steps.find(','), steps.size());
    const std::string_view step = steps.substr(0, comma);
    std::optional<Fault> fault = parse_step(step, common);
    if (!fault) {
      std::string names = "a status from 200 to 599";
      for (const auto& [name, kind] : kNames) names += ", " + std::string(name);
      return fail(Errc::invalid, "'" + std::string(step) + "' is no step; known: " + names);
    }
    plan.steps.push_back(*std::move(fault));
    steps.remove_prefix(std::min(comma + 1, steps.size()));
  }
  if (plan.steps.empty()) return fail(Errc::invalid, "a plan needs at least one step");
  plans_[twin] = std::move(plan);
  return {};
}

void FaultPlans::clear() { plans_.clear(); }

Fault FaultPlans::next(const std::string& twin) {
  auto found = plans_.find(twin);
  if (found == plans_.end()) found = plans_.find(std::string());
  if (found == plans_.end()) return Fault{};
  Plan& plan = found->second;
  if (plan.repeat && plan.steps.size() == 1) return plan.steps.front();
  Fault fault = std::move(plan.steps.front());
  plan.steps.pop_front();
  if (plan.steps.empty()) plans_.erase(found);
  return fault;
}

}  // namespace twinspool::test
