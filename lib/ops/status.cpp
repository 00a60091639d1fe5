#include "ops/status.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "ops/admin_call.h"
#include "util/utf8.h"

namespace twinspool::ops {

namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kLabelColumns = 12;
constexpr std::size_t kLinesOfAValueMax = 3;
constexpr std::size_t kCodesShownMax = 6;

// One character a column; what could move the cursor or is no text becomes '?'.
std::string harmless(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length_at(text, at);
    const auto first = static_cast<unsigned char>(text[at]);
    const bool control = length == 0 || first < 0x20 || first == 0x7F ||
                         (first == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0);
    if (control) {
      result += '?';
    } else {
      result += text.substr(at, length);
    }
    at += length == 0 ? 1 : length;
  }
  return result;
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (const char c : text) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return columns;
}

std::string_view first_columns(std::string_view text, std::size_t columns) {
  std::size_t at = 0;
  while (at < text.size() && columns-- > 0) at += std::max<std::size_t>(utf8_length_at(text, at), 1);
  return text.substr(0, at);
}

// A label and its value, broken at spaces, and cut where it would take too much of the screen.
std::string row(std::string_view label, const std::string& value) {
  constexpr std::size_t kWidth = kColumns - kLabelColumns;
  std::string_view rest = value;
  std::string text = fmt::format("{:<{}}", label, kLabelColumns);
  for (std::size_t line = 1;; ++line) {
    if (columns_of(rest) <= kWidth) return text + std::string(rest) + "\n";
    if (line == kLinesOfAValueMax) return text + std::string(first_columns(rest, kWidth - 3)) + "...\n";
    std::string_view part = first_columns(rest, kWidth);
    if (const auto space = part.rfind(' '); space != std::string_view::npos && space > kWidth / 2)
      part = part.substr(0, space);
    text += std::string(part) + "\n" + std::string(kLabelColumns, ' ');
    rest.remove_prefix(part.size());
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  }
}

class View {
 public:
  explicit View(const json::Document& status) : status_(status) {}

  std::string text(std::string_view path) const { return harmless(status_.value(path).value_or("?")); }

  double number(std::string_view path) const {
    const auto value = status_.value(path);
    if (!value) return 0;
    const double number = std::strtod(value->c_str(), nullptr);
    return std::isfinite(number) ? number : 0;
  }

  std::string count(std::string_view path) const {  // 1,234,567
    std::string digits = text(path);
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) return digits;
    for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
    return digits;
  }

  std::string bytes(std::string_view path) const {
    double size = number(path);
    if (!status_.value(path)) return "?";
    if (size < 1024) return fmt::format("{:.0f} bytes", size);
    const char* unit = "";
    for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
      if (size < 1024 && *unit != '\0') break;
      size /= 1024;
      unit = next;
    }
    return fmt::format("{:.1f} {}", size, unit);
  }

  std::string seconds(std::string_view path) const {
    constexpr double kSecondsMax = 9e9;  // what a Duration holds
    const auto value = std::min(std::max(number(path), 0.0), kSecondsMax);
    return to_human(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value)));
  }

  std::string moment(std::string_view path) const {  // 2026-11-23 20:20:41 UTC
    std::string time = text(path);
    if (time.size() != 24 || time[10] != 'T' || time[19] != '.') return time;
    time[10] = ' ';
    return time.substr(0, 19) + " UTC";
  }

  bool is(std::string_view path, std::string_view value) const { return status_.value(path) == value; }
  bool some(std::string_view path) const { return number(path) > 0; }
  bool has_text(std::string_view path) const { return !status_.value(path).value_or("").empty(); }
  std::size_t size(std::string_view path) const { return status_.size(path); }

 private:
  const json::Document& status_;
};

std::string coloured(const std::string& text, const std::string& state, Colour colour) {
  if (colour == Colour::off) return text;
  const char* code = state == "delivering" || state == "idle" ? "32" : state == "degraded" ? "31" : "33";
  return fmt::format("\033[1;{}m{}\033[0m", code, text);
}

std::string state_rows(const View& view, Colour colour) {
  const std::string state = view.text("state");
  // Padded before it is coloured: escape sequences take no column.
  std::string rows = fmt::format("{:<{}}", "State", kLabelColumns) +
                     coloured(std::string(first_columns(state, kColumns / 4)), state, colour) + " since " +
                     std::string(first_columns(view.moment("since"), kColumns / 3)) + "\n";
  if (view.has_text("why")) rows += row("Why", view.text("why"));
  return rows;
}

std::string queue_rows(const View& view) {
  std::string queue = view.count("queue.messages") + " messages, " + view.bytes("queue.bytes");
  if (view.some("queue.capacity_bytes")) {
    queue += fmt::format(" of {} ({:.0f}%)", view.bytes("queue.capacity_bytes"),
                         100 * view.number("queue.bytes") / view.number("queue.capacity_bytes"));
  }
  std::string rows = row("Queue", queue);
  if (view.some("queue.messages")) {
    rows += row("Oldest", fmt::format("sequence {}, waiting for {} (since {})", view.text("queue.oldest_sequence"),
                                      view.seconds("queue.oldest_age_seconds"), view.moment("queue.oldest_at")));
  }
  rows += row("Delivered", fmt::format("{} of {} accepted ({} duplicates, {} dropped)", view.count("totals.delivered"),
                                       view.count("totals.accepted"), view.count("totals.duplicates"),
                                       view.count("totals.dropped")));
  rows += row("Quarantine", view.count("quarantine.messages") + " messages");
  if (view.some("quarantine.messages")) {
    rows += row("", fmt::format("sqlite3 {} 'select * from quarantine'", view.text("store.path")));
  }
  return rows;
}

std::string upstream_rows(const View& view) {
  if (!view.has_text("upstream.endpoint")) return row("Upstream", "no forward.endpoint: messages are only collected");
  std::string rows = row("Upstream", view.text("upstream.endpoint"));
  std::string state = view.text("upstream.state");
  if (view.some("upstream.last_status")) state += ", last answer " + view.text("upstream.last_status");
  state += fmt::format(", {} connections, {} in flight", view.count("upstream.connections"),
                       view.count("upstream.in_flight"));
  if (view.some("upstream.retry_in_seconds")) state += ", next try in " + view.seconds("upstream.retry_in_seconds");
  rows += row("", state);
  // The state's own reason already says it, where that is what everything waits for.
  if (view.has_text("upstream.why") && view.text("upstream.why") != view.text("why"))
    rows += row("", view.text("upstream.why"));
  return rows + row("Twins",
                    fmt::format("{} ready, {} in flight, {} waiting to retry, {} held", view.count("lanes.ready"),
                                view.count("lanes.in_flight"), view.count("lanes.waiting"), view.count("lanes.held")));
}

// Nothing where the cloud wants no token.
std::string token_rows(const View& view) {
  if (!view.has_text("token.kind") || view.is("token.kind", "none")) return "";
  std::string text = view.text("token.kind") + ", " + view.text("token.state");
  if (view.some("token.expires_in_seconds")) text += ", ends in " + view.seconds("token.expires_in_seconds");
  if (view.some("token.next_fetch_in_seconds"))
    text += ", next fetch in " + view.seconds("token.next_fetch_in_seconds");
  std::string rows = row("Token", text);
  // "no token: ..." is the state's own reason where everything waits for it.
  if (view.has_text("token.last_error") && view.text("why").find(view.text("token.last_error")) == std::string::npos) {
    rows += row("", view.text("token.last_error"));
  }
  return rows;
}

std::string store_rows(const View& view) {
  std::string rows = row("Disk", fmt::format("{} free; queue {} + log {}; a commit takes {:.1f} ms",
                                             view.bytes("store.disk_free_bytes"), view.bytes("store.file_bytes"),
                                             view.bytes("store.wal_bytes"), view.number("store.commit_typical_ms")));
  if (view.has_text("store.fault") && view.text("store.fault") != view.text("why"))
    rows += row("Fault", view.text("store.fault"));
  if (view.has_text("store.wal_held_by_pid") && !view.is("store.wal_held_by_pid", "0"))
    rows += row("", fmt::format("the WAL grows because process {} reads the database: end its query",
                                view.text("store.wal_held_by_pid")));
  if (view.is("store.closed_by_space", "true")) rows += row("", "FULL: senders get 507 until there is space again");
  return rows;
}

std::string ingest_row(const View& view) {
  std::string text = fmt::format("{} connections; answers", view.count("ingest.connections"));
  const std::size_t codes = view.size("ingest.requests");
  for (std::size_t i = 0; i < std::min(codes, kCodesShownMax); ++i) {
    text += fmt::format("{} {}: {}", i == 0 ? "" : ",", view.text(fmt::format("ingest.requests.{}.code", i)),
                        view.count(fmt::format("ingest.requests.{}.count", i)));
  }
  if (codes == 0) text += " none yet";
  return row("Senders", text + (codes > kCodesShownMax ? ", ..." : ""));
}

}  // namespace

std::string render_status(const json::Document& status, Colour colour) {
  const View view(status);
  return row("twinspool",
             fmt::format("{}, pid {}, up {}", view.text("version"), view.text("pid"), view.seconds("uptime_seconds"))) +
         state_rows(view, colour) + queue_rows(view) + upstream_rows(view) + token_rows(view) + store_rows(view) +
         ingest_row(view) +
         row("Clock", view.is("clock.synchronized", "true") ? "synchronized"
                                                            : "NOT known to be synchronized: times may be wrong");
}

ExitCode run_status(const std::string& admin_socket_path, bool json) {
  const auto response = ask_admin(admin_socket_path, "GET", "/status");
  if (!response) return response.error();
  const auto document = json::Document::parse(response->body);
  if (!document) {
    std::fprintf(stderr, "twinspool: %s answered no JSON: %s\n", admin_socket_path.c_str(),
                 document.error().what.c_str());
    return kFailed;
  }
  if (json) {
    std::printf("%s\n", response->body.c_str());
  } else {
    const bool terminal = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
    std::fputs(render_status(*document, terminal ? Colour::on : Colour::off).c_str(), stdout);
  }
  return kDone;
}

}  // namespace twinspool::ops
