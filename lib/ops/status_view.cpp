#include "ops/status_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "ops/text.h"
#include "util/time.h"

namespace twinspool::ops {

std::string human_rate(double per_second) {
  if (!std::isfinite(per_second) || per_second <= 0) return "0/s";
  return per_second < 10 ? fmt::format("{:.1f}/s", per_second) : fmt::format("{:.0f}/s", per_second);
}

std::string human_seconds(double seconds) {
  constexpr double kSecondsMax = 9e9;  // what a Duration holds
  const double value = std::isfinite(seconds) ? std::clamp(seconds, 0.0, kSecondsMax) : 0;
  return to_human(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value)));
}

std::string StatusView::text(std::string_view path) const { return printable(status_.value(path).value_or("?")); }

double StatusView::number(std::string_view path) const {
  const auto value = status_.value(path);
  if (!value) return 0;
  const double number = std::strtod(value->c_str(), nullptr);
  return std::isfinite(number) ? number : 0;
}

std::string StatusView::count(std::string_view path) const {
  std::string digits = text(path);
  std::uint64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  return stop == end && error == std::errc() ? grouped(number) : digits;
}

std::string StatusView::bytes(std::string_view path) const {
  return status_.value(path) ? human_bytes(number(path)) : "?";
}

std::string StatusView::seconds(std::string_view path) const { return human_seconds(number(path)); }

std::string StatusView::moment(std::string_view path) const {
  const std::string time = text(path);
  if (time.size() != 24 || time[10] != 'T' || time[19] != '.') return time;
  return fmt::format("{:.10} {:.8} UTC", time, time.substr(11));
}

std::string StatusView::per_second(std::string_view path) const { return human_rate(number(path)); }

bool StatusView::known(std::string_view path) const {
  const auto value = status_.value(path);
  return value && *value != "null";
}

std::string StatusView::outlook() const {
  if (!known("forecast.arrivals_per_second")) return "not watched long enough yet";
  const std::string rates = fmt::format("{} go out, {} come in", per_second("forecast.departures_per_second"),
                                        per_second("forecast.arrivals_per_second"));
  if (is("queue.messages", "0")) return rates;
  if (known("forecast.time_to_full_seconds") && !some("forecast.time_to_full_seconds"))
    return fmt::format("full; {}", rates);
  if (known("forecast.drain_eta_seconds"))
    return fmt::format("drained in about {} ({})", seconds("forecast.drain_eta_seconds"), rates);
  if (known("forecast.time_to_full_seconds"))
    return fmt::format("full in about {} ({})", seconds("forecast.time_to_full_seconds"), rates);
  return fmt::format("neither drained nor full in sight ({})", rates);
}

}  // namespace twinspool::ops
