#include "config/units.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "config/config.h"

namespace twinspool {

namespace {

struct DurationUnit {
  std::string_view name;
  Duration length;
};
constexpr DurationUnit kDurationUnits[] = {{"d", 24h}, {"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}};

struct SizeUnit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr SizeUnit kSizeUnits[] = {{"TiB", 1024 * kGiB}, {"GiB", kGiB}, {"MiB", kMiB}, {"KiB", kKiB}, {"B", 1}};

struct Amount {
  std::uint64_t count = 0;
  std::string_view unit;
};

// Digits, then the unit; false where it does not begin with a digit or the number is beyond 64 bits.
bool split(std::string_view text, Amount& amount) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount.count);
  if (error != std::errc()) return false;
  amount.unit = text.substr(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  Amount amount;
  if (split(text, amount)) {
    if (amount.unit.empty() && amount.count == 0) return Duration::zero();
    for (const DurationUnit& unit : kDurationUnits) {
      if (unit.name != amount.unit) continue;
      if (amount.count > static_cast<std::uint64_t>(Duration::max() / unit.length)) {
        return fail(Errc::invalid, fmt::format("\"{}\" is too long; at most 106751d are accepted", text));
      }
      return unit.length * static_cast<std::int64_t>(amount.count);
    }
  }
  return fail(Errc::invalid,
              fmt::format("\"{}\" is not a duration; a whole number with a unit is accepted: 500ms, 30s, 5m, 24h, 7d, "
                          "or a bare 0",
                          text));
}

Result<std::uint64_t> parse_size(std::string_view text) {
  Amount amount;
  if (split(text, amount)) {
    for (const SizeUnit& unit : kSizeUnits) {
      if (unit.name != (amount.unit.empty() ? "B" : amount.unit)) continue;
      if (amount.count > std::numeric_limits<std::int64_t>::max() / unit.bytes) {
        return fail(Errc::invalid, fmt::format("\"{}\" is too large; less than 8388608TiB are accepted", text));
      }
      return amount.count * unit.bytes;
    }
  }
  return fail(Errc::invalid,
              fmt::format("\"{}\" is not a size; a whole number of bytes is accepted, or one with B, KiB, MiB, GiB or "
                          "TiB: 64KiB, 4GiB",
                          text));
}

Result<unsigned> parse_mode(std::string_view text) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  const bool octal = error == std::errc() && end == text.data() + text.size();
  if (octal && text.size() == 4 && text[0] == '0') return mode;
  return fail(Errc::invalid, fmt::format("\"{}\" is not a mode; four octal digits are accepted: \"0660\"", text));
}

Result<std::uint64_t> parse_count(std::string_view text) {
  Amount amount;
  if (split(text, amount) && amount.unit.empty()) return amount.count;
  return fail(Errc::invalid, fmt::format("\"{}\" is not a whole number", text));
}

Result<double> parse_number(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && std::isfinite(number)) return number;
  return fail(Errc::invalid, fmt::format("\"{}\" is not a number", text));
}

std::string duration_text(Duration duration) {
  if (duration == Duration::zero()) return "0";
  for (const DurationUnit& unit : kDurationUnits) {
    if (duration % unit.length == Duration::zero()) return fmt::format("{}{}", duration / unit.length, unit.name);
  }
  return fmt::format("{}ms", duration / Duration(1ms));
}

std::string size_text(std::uint64_t size_bytes) {
  if (size_bytes == 0) return "0";
  for (const SizeUnit& unit : kSizeUnits) {
    if (size_bytes % unit.bytes == 0) return fmt::format("{}{}", size_bytes / unit.bytes, unit.name);
  }
  return fmt::format("{}", size_bytes);
}

}  // namespace twinspool
