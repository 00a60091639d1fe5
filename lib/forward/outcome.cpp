#include "forward/outcome.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>

#include "forward/secrets.h"
#include "util/json.h"
#include "util/utf8.h"

namespace twinspool::forward {

namespace {

constexpr std::size_t kBodyShownBytesMax = 200;  // of an answer that is not the cloud's JSON

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool starts_without_case(std::string_view text, std::string_view lower_prefix) {
  if (text.size() < lower_prefix.size()) return false;
  return std::equal(lower_prefix.begin(), lower_prefix.end(), text.begin(), [](char wanted, char given) {
    return wanted == (given >= 'A' && given <= 'Z' ? static_cast<char>(given - 'A' + 'a') : given);
  });
}

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

// --- Retry-After ---

std::optional<Duration> whole_number_of(std::chrono::milliseconds unit, std::string_view text, Duration most) {
  text = trimmed(text);
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number > most / unit) return most;
  return number * unit;
}

}  // namespace

bool is_page(const http::Response& answer) {
  const std::string_view type = trimmed(answer.headers.get("content-type").value_or(""));
  return starts_without_case(type, "text/html") || starts_without_case(type, "application/xhtml") ||
         trimmed(without_byte_order_mark(answer.body)).starts_with('<');
}

std::optional<std::int64_t> http_date(std::string_view text) {
  const std::string date(trimmed(text).substr(0, 64));
  char month_name[4] = {};
  int day = 0, year = 0, hour = 0, minute = 0, second = 0, end = 0;
  const char* forms[] = {"%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n",
                         "%*[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n"};
  bool read = false;
  for (const char* form : forms) {
    end = 0;
    if (std::sscanf(date.c_str(), form, &day, month_name, &year, &hour, &minute, &second, &end) == 6 && end > 0) {
      read = true;
      if (year < 100) year += year < 70 ? 2000 : 1900;
      break;
    }
  }
  if (!read && (std::sscanf(date.c_str(), "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month_name, &day, &hour,
                            &minute, &second, &year, &end) != 6 ||
                end == 0)) {
    return std::nullopt;
  }
  const std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::size_t at = months.find(month_name);
  if (at == std::string_view::npos || at % 3 != 0 || std::string_view(month_name).size() != 3) return std::nullopt;
  const std::chrono::year_month_day calendar{std::chrono::year(year),
                                             std::chrono::month(static_cast<unsigned>(at / 3 + 1)),
                                             std::chrono::day(static_cast<unsigned>(day))};
  if (!calendar.ok() || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
    return std::nullopt;
  return std::chrono::sys_days(calendar).time_since_epoch() / std::chrono::seconds(1) + hour * 3600 + minute * 60 +
         second;
}

Duration retry_after(const http::Headers& headers, const AnswerRules& rules) {
  using std::chrono::milliseconds;
  const Duration most = rules.retry_after_max;
  for (const std::string_view name : {"retry-after-ms", "x-ms-retry-after-ms"}) {
    const auto value = headers.get(name);
    if (!value) continue;
    if (const auto delay = whole_number_of(milliseconds(1), *value, most)) return std::min(*delay, most);
  }
  const auto value = headers.get("retry-after");
  if (!value) return Duration::zero();
  if (const auto delay = whole_number_of(milliseconds(1000), *value, most)) return std::min(*delay, most);
  const auto until = http_date(*value);
  if (!until) return Duration::zero();
  // Measured by the server's own clock where it shows it: ours may be fifty years off.
  const auto server_now = headers.get("date") ? http_date(*headers.get("date")) : std::nullopt;
  const std::int64_t now = server_now ? *server_now : to_unix_ms(rules.now) / 1000;
  const std::int64_t seconds = std::clamp<std::int64_t>(*until - now, 0, most / std::chrono::seconds(1));
  return std::min<Duration>(std::chrono::seconds(seconds), most);
}

// --- what the cloud says ---

namespace {

void describe(const http::Response& answer, std::string_view secret, Outcome& outcome) {
  const auto shown = [secret](std::string_view text, std::size_t bytes_max) {
    return printable(without_secrets(std::string(trimmed(text)), {std::string(secret)}), bytes_max);
  };
  if (const auto code = answer.headers.get("x-ms-error-code")) outcome.code = shown(*code, kAnswerCodeBytesMax);
  if (is_page(answer)) {
    outcome.text = "an HTML page, which the cloud never sends: a proxy or a captive portal answered";
    return;
  }
  if (const auto document = json::Document::parse(answer.body)) {
    if (outcome.code.empty()) outcome.code = shown(document->value("error.code").value_or(""), kAnswerCodeBytesMax);
    auto text = document->value("error.message");
    if (!text) text = document->value("message");  // the shape of a 401
    if (text) outcome.text = shown(*text, kAnswerTextBytesMax);
  } else {
    outcome.text = shown(answer.body, kBodyShownBytesMax);
  }
  if (!outcome.text.empty()) return;
  if (answer.status >= 300 && answer.status < 400) {
    outcome.text = "redirects to " + shown(answer.headers.get("location").value_or("nowhere"), kBodyShownBytesMax);
  } else {
    outcome.text = http::reason_phrase(answer.status);
  }
}

struct Judgement {
  Verdict verdict;
  FailureClass failure;
};

Judgement judge(int status, bool page, const std::string& code) {
  constexpr Judgement delivered{Verdict::delivered, FailureClass::none};
  constexpr Judgement hold_endpoint{Verdict::hold_endpoint, FailureClass::endpoint};
  switch (status) {
    case 204:
      return delivered;
    case 401:
      return {Verdict::renew_token, FailureClass::token};
    case 429:
      return {Verdict::pause_endpoint, FailureClass::throttled};
    case 503:
      return {Verdict::pause_endpoint, FailureClass::service};
    default:
      break;
  }
  if (status >= 500 || status == 408) {
    // A page means that whoever stands before the service could not reach it: that is not about one twin.
    return {page ? Verdict::pause_endpoint : Verdict::retry_lane, FailureClass::service};
  }
  if (page) return hold_endpoint;
  // Too long for the way in is this message, or the token, which all have in common. So the message keeps its time, and
  // the other twins flow where they can.
  if (status == 414 || status == 431) return {Verdict::hold_lane, FailureClass::message};
  if (status >= 200 && status < 300) return delivered;
  switch (status) {
    case 400:
    case 413:
    case 415:
    case 422:
      return {Verdict::quarantine, FailureClass::message};
    case 404:
      if (code == "DigitalTwinNotFound" || code == "ComponentNotFound") return {Verdict::hold_lane, FailureClass::twin};
      return hold_endpoint;
    default:
      return hold_endpoint;  // 3xx, 403, 407, and what nobody promised: never a reason to lose a message
  }
}

}  // namespace

std::string_view to_string(FailureClass failure) {
  switch (failure) {
    case FailureClass::none:
      return "none";
    case FailureClass::message:
      return "message";
    case FailureClass::twin:
      return "twin";
    case FailureClass::token:
      return "token";
    case FailureClass::endpoint:
      return "endpoint";
    case FailureClass::throttled:
      return "throttled";
    case FailureClass::service:
      return "service";
    case FailureClass::timeout:
      return "timeout";
    case FailureClass::path:
      return "path";
    case FailureClass::tls:
      return "tls";
  }
  return "unknown";
}

Meaning meaning_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::delivered:
      return {"the message", "delivered: it leaves the queue"};
    case Verdict::quarantine:
      return {"this message", "it goes to the quarantine with body, status, code and text; its twin goes on"};
    case Verdict::hold_lane:
      return {
          "this twin",
          "its lane is held and tried again with backoff, after forward.not_found_hold its oldest message goes to the "
          "quarantine; other twins flow"};
    case Verdict::retry_lane:
      return {"the service, at this request",
              "the same message again after a backoff; other twins flow, unless several in a row fail like this"};
    case Verdict::renew_token:
      return {"the token", "a new token, once at once, then with backoff; everything is kept and waits"};
    case Verdict::pause_endpoint:
      return {"the service", "everything waits as long as Retry-After says and a random while more, then one probe"};
    case Verdict::hold_endpoint:
      return {"the endpoint or a proxy on the way",
              "everything is held and probed slowly until somebody mends it; nothing is dropped"};
    case Verdict::retry_path:
      return {"the path", "everything is tried again with backoff, for ever: same bytes, same Message-Id"};
  }
  return {};
}

Outcome classify(const http::Response& answer, const AnswerRules& rules) {
  Outcome outcome;
  outcome.status = answer.status;
  if (answer.status == 204) return outcome;  // nearly all of them
  describe(answer, rules.secret, outcome);
  const Judgement judgement = judge(answer.status, is_page(answer), outcome.code);
  outcome.verdict = judgement.verdict;
  outcome.failure = judgement.failure;
  if (outcome.verdict == Verdict::retry_lane || outcome.verdict == Verdict::pause_endpoint) {
    outcome.retry_after = retry_after(answer.headers, rules);
  }
  return outcome;
}

Outcome classify(const Error& error) {
  Outcome outcome{.verdict = Verdict::retry_path, .failure = FailureClass::path, .status = 0, .code = {}, .text = {}};
  if (error.code == Errc::timeout) outcome.failure = FailureClass::timeout;
  if (error.code == Errc::tls) outcome.failure = FailureClass::tls;
  if (error.code == Errc::refused) {
    outcome.verdict = Verdict::hold_endpoint;
    outcome.failure = FailureClass::endpoint;
  }
  outcome.text = printable(error.what, kAnswerTextBytesMax);
  return outcome;
}

std::string describe(const Outcome& outcome) {
  if (outcome.status == 0) return outcome.text;
  std::string text = "HTTP " + std::to_string(outcome.status);
  if (!outcome.code.empty()) text += " " + outcome.code;
  if (!outcome.text.empty()) text += ": " + outcome.text;
  return text;
}

std::string printable(std::string_view text, std::size_t bytes_max) {
  std::string out;
  out.reserve(std::min(text.size(), bytes_max));
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length_at(text, at);
    const std::string_view character = text.substr(at, std::max<std::size_t>(length, 1));
    const auto byte = static_cast<unsigned char>(character[0]);
    const bool c1 = length == 2 && byte == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
    const std::string_view shown = length == 0 || byte < 0x20 || byte == 0x7F || c1 ? "?" : character;
    if (out.size() + shown.size() > bytes_max) break;
    out += shown;
    at += character.size();
  }
  return out;
}

}  // namespace twinspool::forward
