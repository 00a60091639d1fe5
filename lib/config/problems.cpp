#include "config/problems.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace twinspool {

void Problems::add(Place place, std::string key, std::string what) {
  found_.push_back({place, std::move(key), std::move(what)});
}

std::string Problems::text(const std::string& file) const {
  auto sorted = found_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  });
  std::string text;
  for (const Problem& problem : sorted) {
    if (!text.empty()) text += '\n';
    text += fmt::format("{}:{}:{}: ", file, problem.place.line, problem.place.column);
    if (!problem.key.empty()) text += problem.key + ": ";
    text += problem.what;
  }
  return text;
}

}  // namespace twinspool
