// What the steps of `doctor` found, and how it is told. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/draw.h"

namespace twinspool::ops {

struct Finding {
  enum class Result : std::uint8_t { good, warning, broken, skipped };
  std::string step;  // config, daemon, store, disk, clock, dns, tcp, proxy, tls, token, probe, twins
  Result result = Result::good;
  std::string text;
  std::string remedy;
};

inline Finding good(std::string step, std::string text) {
  return {std::move(step), Finding::Result::good, std::move(text), {}};
}
inline Finding warning(std::string step, std::string text, std::string remedy) {
  return {std::move(step), Finding::Result::warning, std::move(text), std::move(remedy)};
}
inline Finding broken(std::string step, std::string text, std::string remedy) {
  return {std::move(step), Finding::Result::broken, std::move(text), std::move(remedy)};
}
inline Finding skipped(std::string step, std::string why) {
  return {std::move(step), Finding::Result::skipped, std::move(why), {}};
}
// "what failed; what to do", as errors of the network are written, taken apart; `remedy` where it has none. Where
// several addresses failed, each of them stands before it.
Finding broken_by(std::string step, const std::string& error, const std::string& remedy);

const Finding* first_broken(const std::vector<Finding>& findings);  // null: none
std::string render_finding(const Finding& finding, Colour colour);  // lines of 80 columns
std::string render_verdict(const std::vector<Finding>& findings);
std::string findings_json(const std::vector<Finding>& findings);

}  // namespace twinspool::ops
