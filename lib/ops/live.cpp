#include "ops/live.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "ops/admin_call.h"
#include "ops/interrupt.h"
#include "ops/screen.h"
#include "ops/status.h"
#include "ops/status_view.h"
#include "ops/text.h"

namespace twinspool::ops {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kColumns = 80;
constexpr std::size_t kCurveColumns = 40;
constexpr Duration kPlainEvery = 10s;  // lines of a drain where nobody looks at a screen
constexpr Duration kGoneMax = 60s;     // a daemon that restarts during a drain is waited for so long

std::string curve_row(std::string_view label, const std::deque<double>& values, double now, Charset charset) {
  return fmt::format("{:<12}{} {}\n", label, sparkline(values, kCurveColumns, charset), human_rate(now));
}

std::string curves(const RateHistory& rates, Charset charset) {
  return curve_row("Goes out", rates.departures(), rates.departures_now(), charset) +
         curve_row("Comes in", rates.arrivals(), rates.arrivals_now(), charset);
}

std::string moment_now() { return to_rfc3339(wall_now()); }

std::string plain_status(const json::Document& status) {
  const StatusView view(status);
  std::string text =
      fmt::format("{}  {}, {} messages wait", moment_now(), view.text("state"), view.count("queue.messages"));
  if (view.some("queue.messages")) text += ", the oldest for " + view.seconds("queue.oldest_age_seconds");
  text += "; " + view.outlook();
  if (view.has_text("why")) text += "; " + view.text("why");
  return text + "\n";
}

bool print(const std::string& text) { return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0; }

std::unique_ptr<Screen> screen_for(const LiveOptions& options) {
  const bool screen = !options.json && terminal_size(STDOUT_FILENO).rows > 0;
  return screen ? std::make_unique<Screen>() : nullptr;
}

}  // namespace

std::string watch_frame(const json::Document& status, const RateHistory& rates, std::size_t lines, Colour colour,
                        Charset charset) {
  constexpr std::size_t kCurveLines = 2;
  const std::size_t for_status = std::min(kStatusLines, lines > kCurveLines ? lines - kCurveLines : 1);
  return render_status(status, colour, for_status) + curves(rates, charset);
}

ExitCode run_watch(const LiveOptions& options) {
  auto status = try_status(options.admin_socket);
  if (!status) return report(status.error());
  const Colour colour = colour_of(STDOUT_FILENO, options.colour);
  const Charset charset = charset_of_environment();
  RateHistory rates;
  Interrupt interrupt;
  const std::unique_ptr<Screen> screen = screen_for(options);
  for (bool going = true; going; status = try_status(options.admin_socket)) {
    std::string text;
    if (!status) {
      text = moment_now() + "  " + status.error().what + "\n";
    } else {
      rates.add(monotonic_now(), status->document);
      text = options.json ? status->text + "\n"
             : screen     ? watch_frame(status->document, rates, terminal_size(STDOUT_FILENO).rows, colour, charset)
                          : plain_status(status->document);
    }
    if (!status && options.json) {
      std::fputs(text.c_str(), stderr);
    } else if (!(screen ? screen->draw(text) : print(text))) {
      break;
    }
    going = interrupt.wait(options.every);
    if (!going) break;
  }
  return kDone;
}

void DrainView::add(TimePoint now, const json::Document& status) {
  status_ = status;
  rates_.add(now, status);
  queued_ = StatusView(status).number("queue.messages");
  most_ = std::max(most_, queued_);
}

double DrainView::part_done() const { return most_ > 0 ? 1 - queued_ / most_ : 1; }

std::string DrainView::eta() const {
  const auto seconds = rates_.seconds_to_empty();
  return seconds ? "about " + human_seconds(*seconds) : "not in sight";
}

std::string DrainView::frame(Colour colour, Charset charset) const {
  const StatusView view(status_);
  const std::string state = view.text("state");
  std::string text =
      fmt::format("{:<12}{} since {}\n", "State", coloured_by_state(state, state, colour), view.moment("since"));
  if (view.has_text("why")) text += fmt::format("{:<12}{}\n", "Why", shortened(view.text("why"), kColumns - 12));
  text += fmt::format("{:<12}{} messages, {}\n", "Queue", view.count("queue.messages"), view.bytes("queue.bytes"));
  if (view.some("queue.messages"))
    text += fmt::format("{:<12}waits for {}\n", "Oldest", view.seconds("queue.oldest_age_seconds"));
  text += fmt::format("{:<12}{} {:.0f}%\n", "Drained", bar(part_done(), kCurveColumns), 100 * part_done());
  text += fmt::format("{:<12}{}\n", "Empty in", eta());
  return text + curves(rates_, charset) + "Ctrl-C ends the view, not the delivery.\n";
}

std::string DrainView::line() const {
  const StatusView view(status_);
  std::string text = fmt::format("{}  {} messages wait, {:.0f}% drained; {} go out, {} come in; empty in: {}",
                                 moment_now(), view.count("queue.messages"), 100 * part_done(),
                                 human_rate(rates_.departures_now()), human_rate(rates_.arrivals_now()), eta());
  if (view.has_text("why")) text += fmt::format("; {}: {}", view.text("state"), view.text("why"));
  return text + "\n";
}

std::string DrainView::what_waits() const {
  const StatusView view(status_);
  std::string text = fmt::format("{} messages still wait, the oldest for {}; ", view.count("queue.messages"),
                                 view.seconds("queue.oldest_age_seconds"));
  if (view.has_text("why")) return text + view.text("state") + ": " + view.text("why");
  const double in = rates_.arrivals_now(), out = rates_.departures_now();
  text += fmt::format("{}: {} go out, {} come in", view.text("state"), human_rate(out), human_rate(in));
  if (view.some("lanes.held")) text += fmt::format("; {} twins are held: twinspool lanes", view.count("lanes.held"));
  return text;
}

std::string DrainView::as_json(Duration took) const {
  const StatusView view(status_);
  json::Writer out;
  out.begin_object().key("drained").boolean(drained());
  out.key("messages").integer(static_cast<std::int64_t>(queued_));
  out.key("seconds").number(std::chrono::duration<double>(took).count());
  out.key("state").string(view.text("state")).key("why").string(view.has_text("why") ? view.text("why") : "");
  out.end_object();
  return out.take() + "\n";
}

ExitCode run_drain(const DrainOptions& options) {
  auto status = try_status(options.live.admin_socket);
  if (!status) return report(status.error());
  const TimePoint began = monotonic_now();
  const TimePoint until = options.timeout ? began + *options.timeout : kNever;
  const Colour colour = colour_of(STDOUT_FILENO, options.live.colour);
  const Charset charset = charset_of_environment();
  DrainView view;
  TimePoint answered = began, told = began - kPlainEvery;
  Failure gone;  // the daemon is, and stays so
  {
    Interrupt interrupt;
    const std::unique_ptr<Screen> screen = screen_for(options.live);
    for (;; status = try_status(options.live.admin_socket)) {
      const TimePoint now = monotonic_now();
      if (status) view.add(answered = now, status->document);
      if (view.drained() || now >= until) break;
      if (!status && now - answered > kGoneMax) {
        gone = status.error();
        break;
      }
      if (screen) {
        if (!screen->draw(view.frame(colour, charset) + (status ? "" : status.error().what + "\n"))) break;
      } else if (!options.live.json && now - told >= kPlainEvery) {
        if (!print(view.line())) break;
        told = now;
      }
      if (!interrupt.wait(std::min(options.live.every, until - now))) break;
    }
  }
  const Duration took = monotonic_now() - began;
  if (options.live.json) print(view.as_json(took));
  if (!gone.what.empty()) return report(gone);
  if (!view.drained()) return report({kFailed, view.what_waits()});
  if (!options.live.json) print(fmt::format("the queue is empty after {}\n", to_human(took)));
  return kDone;
}

}  // namespace twinspool::ops
