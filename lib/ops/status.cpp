#include "ops/status.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "ops/admin_call.h"
#include "ops/screen.h"
#include "ops/status_view.h"
#include "ops/text.h"

namespace twinspool::ops {

namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kLabelColumns = 12;
constexpr std::size_t kLinesOfAValueMax = 3;
constexpr std::size_t kCodesShownMax = 6;

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

std::string state_rows(const StatusView& view, Colour colour) {
  const std::string state = view.text("state");
  // Padded before it is coloured: escape sequences take no column.
  std::string rows = fmt::format("{:<{}}", "State", kLabelColumns) +
                     coloured_by_state(first_columns(state, kColumns / 4), state, colour) + " since " +
                     std::string(first_columns(view.moment("since"), kColumns / 3)) + "\n";
  if (view.has_text("why")) rows += row("Why", view.text("why"));
  return rows;
}

std::string queue_rows(const StatusView& view) {
  std::string queue = view.count("queue.messages") + " messages, " + view.bytes("queue.bytes");
  if (view.some("queue.capacity_bytes")) {
    queue += fmt::format(" of {} ({:.0f}%)", view.bytes("queue.capacity_bytes"),
                         100 * view.number("queue.bytes") / view.number("queue.capacity_bytes"));
  }
  if (view.known("forecast.time_to_full_seconds") && !view.some("forecast.time_to_full_seconds")) queue += ", FULL";
  std::string rows = row("Queue", queue);
  if (view.some("queue.messages")) {
    rows += row("Oldest", fmt::format("sequence {}, waiting for {} (since {})", view.text("queue.oldest_sequence"),
                                      view.seconds("queue.oldest_age_seconds"), view.moment("queue.oldest_at")));
  }
  rows += row("Forecast", view.outlook());
  rows += row("Delivered", fmt::format("{} of {} accepted ({} duplicates)", view.count("totals.delivered"),
                                       view.count("totals.accepted"), view.count("totals.duplicates")));
  if (view.some("totals.dropped"))
    rows += row("Dropped", view.count("totals.dropped") + " messages, by store.max_age or store.when_full");
  const std::string quarantine = view.count("quarantine.messages") + " messages";
  return rows + row("Quarantine", view.some("quarantine.messages")
                                      ? quarantine + ": twinspool quarantine list, then retry or purge"
                                      : quarantine);
}

std::string upstream_rows(const StatusView& view) {
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
std::string token_rows(const StatusView& view) {
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

std::string store_rows(const StatusView& view) {
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

std::string ingest_row(const StatusView& view) {
  std::string text = fmt::format("{} connections; answers", view.count("ingest.connections"));
  const std::size_t codes = view.size("ingest.requests");
  for (std::size_t i = 0; i < std::min(codes, kCodesShownMax); ++i) {
    text += fmt::format("{} {}: {}", i == 0 ? "" : ",", view.text(fmt::format("ingest.requests.{}.code", i)),
                        view.count(fmt::format("ingest.requests.{}.count", i)));
  }
  if (codes == 0) text += " none yet";
  return row("Senders", text + (codes > kCodesShownMax ? ", ..." : ""));
}

// Everything together never is that long, unless many things are wrong at once.
std::string first_lines(const std::string& text, std::size_t lines_max) {
  std::size_t at = 0, before_last = 0;
  for (std::size_t line = 0; line < lines_max && at < text.size(); ++line) {
    before_last = at;
    at = text.find('\n', at) + 1;
  }
  if (at >= text.size()) return text;
  return text.substr(0, before_last) + "...         twinspool status --json has the rest\n";
}

}  // namespace

std::string render_status(const json::Document& status, Colour colour, std::size_t lines_max) {
  const StatusView view(status);
  const std::string all =
      row("twinspool",
          fmt::format("{}, pid {}, up {}", view.text("version"), view.text("pid"), view.seconds("uptime_seconds"))) +
      state_rows(view, colour) + queue_rows(view) + upstream_rows(view) + token_rows(view) + store_rows(view) +
      row("Clock",
          view.is("clock.synchronized", "true") ? "synchronized" : "NOT known to be synchronized: times may be wrong") +
      ingest_row(view);
  return first_lines(all, lines_max);
}

ExitCode run_status(const std::string& admin_socket_path, bool json, bool wants_colour) {
  const auto status = try_status(admin_socket_path);
  if (!status) return report(status.error());
  const std::string text = json ? status->text + "\n"
                                : render_status(status->document, colour_of(STDOUT_FILENO, wants_colour), kStatusLines);
  std::fputs(text.c_str(), stdout);
  return kDone;
}

}  // namespace twinspool::ops
