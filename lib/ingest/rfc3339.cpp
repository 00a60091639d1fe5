#include "ingest/rfc3339.h"

#include <chrono>
#include <cstddef>

namespace twinspool::ingest {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Eats `text` from the left; once something did not fit it stays bad.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  int number(std::size_t digits, int max) {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (rest_.empty() || !is_digit(rest_.front())) return bad();
      value = value * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value <= max ? value : bad();
  }
  char one_of(std::string_view wanted) {
    if (rest_.empty() || wanted.find(rest_.front()) == std::string_view::npos) return static_cast<char>(bad());
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  void skip_fraction() {
    if (rest_.empty() || rest_.front() != '.') return;
    rest_.remove_prefix(1);
    number(1, 9);
    while (!rest_.empty() && is_digit(rest_.front())) rest_.remove_prefix(1);
  }
  bool good_to_the_end() const { return good_ && rest_.empty(); }

 private:
  int bad() {
    good_ = false;
    return 0;
  }
  std::string_view rest_;
  bool good_ = true;
};

bool is_last_minute_of_a_month(std::chrono::sys_time<std::chrono::minutes> utc) {
  const auto day = std::chrono::floor<std::chrono::days>(utc);
  const std::chrono::year_month_day next(day + std::chrono::days(1));
  return utc - day == std::chrono::hours(24) - std::chrono::minutes(1) && next.day() == std::chrono::day(1);
}

}  // namespace

bool is_rfc3339(std::string_view text) {
  Scanner scan(text);
  const int year = scan.number(4, 9999);
  scan.one_of("-");
  const int month = scan.number(2, 12);
  scan.one_of("-");
  const int day = scan.number(2, 31);
  scan.one_of("Tt");
  const std::chrono::hours hour(scan.number(2, 23));
  scan.one_of(":");
  const std::chrono::minutes minute(scan.number(2, 59));
  scan.one_of(":");
  const int second = scan.number(2, 60);
  scan.skip_fraction();

  const char zone = scan.one_of("Zz+-");
  std::chrono::minutes offset{0};
  if (zone == '+' || zone == '-') {
    const std::chrono::hours hours(scan.number(2, 23));
    scan.one_of(":");
    offset = hours + std::chrono::minutes(scan.number(2, 59));
    if (zone == '-') offset = -offset;
  }
  if (!scan.good_to_the_end()) return false;

  const std::chrono::year_month_day date(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (!date.ok()) return false;
  return second < 60 || is_last_minute_of_a_month(std::chrono::sys_days(date) + hour + minute - offset);
}

}  // namespace twinspool::ingest
