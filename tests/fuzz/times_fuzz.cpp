// Dates, times and durations in every form that we read, against the C library and a regular expression; what we write
// ourselves is read back as what it was. The first line is the text, the second what a Date header says.
#include <regex.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "admin/message_answers.h"
#include "config/units.h"
#include "forward/outcome.h"
#include "ingest/rfc3339.h"
#include "util/error.h"

namespace {

using namespace twinspool;
using namespace std::chrono_literals;

constexpr std::int64_t kNowMs = 1'795'557'600'000;
constexpr std::int64_t kYear10000 = 253'402'300'800;  // seconds

std::string written(const char* form, std::int64_t seconds) {
  const auto time = static_cast<time_t>(seconds);
  struct tm parts {};
  ENSURE(::gmtime_r(&time, &parts) != nullptr);
  char text[64];
  ENSURE(std::strftime(text, sizeof text, form, &parts) > 0);
  return text;
}

// Milliseconds since 1970 of an RFC 3339 time; nullopt: it is none.
std::optional<std::int64_t> reference_of_rfc3339(const std::string& text) {
  static const regex_t form = [] {
    regex_t compiled;
    ENSURE(::regcomp(&compiled,
                     "^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\\.[0-9]+)?"
                     "([Zz]|[+-]([0-9]{2}):([0-9]{2}))$",
                     REG_EXTENDED) == 0);
    return compiled;
  }();
  regmatch_t part[11]{};
  part[0] = {0, static_cast<regoff_t>(text.size())};
  if (::regexec(&form, text.c_str(), std::size(part), part, REG_STARTEND) != 0) return std::nullopt;
  const auto piece = [&](std::size_t i) {
    return part[i].rm_so < 0 ? std::string()
                             : text.substr(static_cast<std::size_t>(part[i].rm_so),
                                           static_cast<std::size_t>(part[i].rm_eo - part[i].rm_so));
  };
  const auto number = [&](std::size_t i) { return piece(i).empty() ? 0 : std::stoi(piece(i)); };
  const int day = number(3), hour = number(4), minute = number(5), second = number(6);
  if (hour > 23 || minute > 59 || second > 60 || number(9) > 23 || number(10) > 59) return std::nullopt;
  struct tm parts {};
  parts.tm_year = number(1) - 1900;
  parts.tm_mon = number(2) - 1;
  parts.tm_mday = day;
  const std::int64_t midnight = ::timegm(&parts);
  if (parts.tm_mday != day || parts.tm_mon != number(2) - 1) return std::nullopt;  // a day that does not exist
  const int sign = piece(8)[0] == '+' ? 1 : -1;
  const std::int64_t utc_minute = midnight + hour * 3600 + minute * 60 - sign * (number(9) * 3600 + number(10) * 60);
  if (second == 60 && written("%d %H:%M", utc_minute + 60) != "01 00:00") return std::nullopt;
  std::string fraction = piece(7).empty() ? "" : piece(7).substr(1, 3);
  fraction.resize(3, '0');
  return (utc_minute + second) * 1000 + std::stoi(fraction);
}

void check_rfc3339(const std::string& text) {
  const auto expected = reference_of_rfc3339(text);
  ENSURE(ingest::is_rfc3339(text) == expected.has_value());
  const auto point = admin::point_in_time(text, kNowMs);
  if (expected) {
    ENSURE(point == expected);
  } else if (point) {
    const auto back = parse_duration(text);
    ENSURE(back && *back > Duration::zero() && *point == kNowMs - to_ms(*back));
  }
}

void check_units(const std::string& text) {
  if (const auto duration = parse_duration(text)) {
    ENSURE(*duration >= Duration::zero());
    ENSURE(parse_duration(duration_text(*duration)) == *duration);
    ENSURE(!to_human(*duration).empty());
  }
  if (const auto size = parse_size(text)) ENSURE(parse_size(size_text(*size)) == *size);
  if (const auto mode = parse_mode(text)) ENSURE(*mode <= 0777);
  if (const auto count = parse_count(text)) ENSURE(*count > INT64_MAX ? !parse_size(text) : parse_size(text) == *count);
  (void)parse_number(text);
}

void check_retry_after(const std::string& text, const std::string& date) {
  http::Headers headers{{"Retry-After", text}};
  if (!date.empty()) headers.add("Date", date);
  const forward::AnswerRules rules{.retry_after_max = 1h, .now = from_unix_ms(kNowMs)};
  const Duration delay = forward::retry_after(headers, rules);
  ENSURE(delay >= Duration::zero() && delay <= 1h);
  std::string digits = text.substr(std::min(text.find_first_not_of(" \t\r"), text.size()));
  digits.resize(digits.find_last_not_of(" \t\r") + 1);
  if (!digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos) {
    const std::size_t first = digits.find_first_not_of('0');
    const std::string number = first == std::string::npos ? "0" : digits.substr(first);
    ENSURE(delay == (number.size() > 4 ? 3600s : std::min(3600s, std::chrono::seconds(std::stoi(number)))));
  } else if (const auto until = forward::http_date(text)) {
    const auto server = date.empty() ? std::nullopt : forward::http_date(date);
    ENSURE(delay == std::chrono::seconds(std::clamp<std::int64_t>(*until - server.value_or(kNowMs / 1000), 0, 3600)));
  } else {
    ENSURE(delay == Duration::zero());
  }
}

void check_what_is_written(std::int64_t seconds) {
  ENSURE(forward::http_date(written("%a, %d %b %Y %H:%M:%S GMT", seconds)) == seconds);
  ENSURE(forward::http_date(written("%a %b %e %H:%M:%S %Y", seconds)) == seconds);
  if (seconds < 3'155'760'000)  // 2069: two digits do not say which century
    ENSURE(forward::http_date(written("%A, %d-%b-%y %H:%M:%S GMT", seconds)) == seconds);
  const std::int64_t ms = seconds * 1000 + seconds % 1000;
  const std::string text = to_rfc3339(from_unix_ms(ms));
  ENSURE(ingest::is_rfc3339(text) && admin::point_in_time(text, kNowMs) == ms);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const std::string text = bytes.substr(0, bytes.find('\n'));
  const std::string date = text.size() < bytes.size() ? bytes.substr(text.size() + 1) : "";
  check_rfc3339(text);
  check_units(text);
  check_retry_after(text, date);
  std::uint64_t number = 0;
  std::memcpy(&number, data, std::min(size, sizeof number));
  check_what_is_written(static_cast<std::int64_t>(number % static_cast<std::uint64_t>(kYear10000)));
  return 0;
}
