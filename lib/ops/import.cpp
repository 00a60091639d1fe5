#include "ops/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <vector>

#include "ops/call.h"
#include "ops/draw.h"
#include "ops/interrupt.h"
#include "ops/line_reader.h"
#include "ops/screen.h"
#include "ops/sockets.h"
#include "ops/text.h"
#include "util/json.h"

namespace twinspool::ops {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBatchBytesMax = 1 << 20;  // a quarter of what ingest.batch_max is by default
constexpr Duration kAnswerTime = 60s;
constexpr Duration kGoneMax = 60s;  // a daemon that restarts is waited for so long
constexpr std::size_t kBadLinesShown = 10;

std::uint64_t number_of(std::string_view digits) {
  std::uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

class Import {
 public:
  Import(const ImportOptions& options, const std::string& socket) : options_(options), socket_(socket) {}

  ExitCode run() {
    Result<LineReader> reader = LineReader::open(options_.file, interrupt_);
    if (!reader) {
      std::fprintf(stderr, "twinspool: %s\n", reader.error().what.c_str());
      return kFailed;
    }
    for (;;) {
      if (!fill(*reader)) return end(kFailed);
      if (lines_.empty()) return end(kDone);
      while (!lines_.empty()) {
        const ExitCode sent = send(std::min(lines_.size(), batch_max_));
        if (sent != kDone) return end(sent);
        show(*reader);
        if (!wait(0s, "")) return end(kFailed);
      }
    }
  }

 private:
  struct Line {
    std::uint64_t number = 0;
    std::string text;
  };

  bool fill(LineReader& reader) {
    std::size_t bytes = 0;
    while (lines_.size() < options_.batch && bytes < kBatchBytesMax) {
      Result<std::optional<std::string>> line = reader.next();
      if (!line) why_ = line.error().what;
      if (!line) return false;
      if (!*line) return true;
      if (reader.number() < options_.from_line || (*line)->find_first_not_of(" \t\r") == std::string::npos) continue;
      bytes += (*line)->size();
      lines_.push_back({reader.number(), std::move(**line)});
    }
    return true;
  }

  // The first `count` lines: until they are stored, or refused for good.
  ExitCode send(std::size_t count) {
    http::Request request{.method = "POST",
                          .target = "/telemetry:batch",
                          .headers = {{"Host", "localhost"}, {"Content-Type", "application/x-ndjson"}},
                          .body = {}};
    for (std::size_t i = 0; i < count; ++i) request.body += lines_[i].text + "\n";
    for (TimePoint last_answer = monotonic_now();;) {
      const Result<http::Response> answer = call(socket_, request, kAnswerTime);
      if (answer) {
        last_answer = monotonic_now();
        met_ = true;
        if (answer->status == 204) return stored(count, *answer);
        if (answer->status == 413 && count > 1) {
          batch_max_ = count / 2;
          return kDone;  // the same lines again, fewer at a time
        }
        const std::uint64_t seconds = number_of(answer->headers.get("Retry-After").value_or(""));
        if (seconds == 0) return refused(*answer);
        if (!wait(std::chrono::seconds(std::min<std::uint64_t>(seconds, 60)), message_of(*answer))) return kFailed;
      } else if (!met_ || monotonic_now() - last_answer > kGoneMax) {
        why_ = answer.error().code == Errc::unreachable ? why_not_reachable(socket_, answer.error().what)
                                                        : "no answer from " + socket_ + ": " + answer.error().what;
        return answer.error().code == Errc::unreachable ? kNotReachable : kFailed;
      } else if (!wait(1s, answer.error().what)) {
        return kFailed;
      }
    }
  }

  ExitCode stored(std::size_t count, const http::Response& answer) {
    accepted_ += number_of(answer.headers.get("Twinspool-Accepted").value_or(""));
    duplicates_ += number_of(answer.headers.get("Twinspool-Duplicates").value_or(""));
    stored_through_ = lines_[count - 1].number;
    lines_.erase(lines_.begin(), lines_.begin() + static_cast<std::ptrdiff_t>(count));
    return kDone;
  }

  ExitCode refused(const http::Response& answer) {
    why_ = message_of(answer);
    const auto document = json::Document::parse(answer.body);
    const std::size_t details = document ? document->size("error.details") : 0;
    if (details == 0) return kFailed;
    why_ = "these lines are refused, and nothing of their batch was stored:";
    for (std::size_t i = 0; i < std::min(details, kBadLinesShown); ++i) {
      const std::string at = fmt::format("error.details.{}.", i);
      const std::uint64_t line = number_of(document->value(at + "line").value_or(""));
      if (line == 0 || line > lines_.size()) continue;
      const std::string message = printable(document->value(at + "message").value_or(""));
      const std::size_t colon = message.find(": ");  // behind the line's number in the batch
      why_ += fmt::format("\n  line {}{}", lines_[static_cast<std::size_t>(line - 1)].number,
                          colon == std::string::npos ? ": " + message : message.substr(colon));
    }
    if (details > kBadLinesShown) why_ += fmt::format("\n  and {} more", details - kBadLinesShown);
    return kFailed;
  }

  static std::string message_of(const http::Response& answer) {
    const auto document = json::Document::parse(answer.body);
    const auto message = document ? document->value("error.message") : std::nullopt;
    return fmt::format("the daemon answers {}: {}", answer.status,
                       printable(message.value_or(std::string(http::reason_phrase(answer.status)))));
  }

  bool wait(Duration time, const std::string& why) {
    if (!why.empty() && why != waits_for_) {
      progress_.wipe();
      std::fprintf(stderr, "twinspool: waiting, because %s\n", why.c_str());
    }
    waits_for_ = why;
    if (interrupt_.wait(time)) return true;
    why_ = "interrupted";
    return false;
  }

  void show(const LineReader& reader) {
    waits_for_.clear();
    progress_.show(fmt::format("import {} line {}, {} new, {} known", bar(reader.part_read(), 24),
                               grouped(stored_through_), grouped(accepted_), grouped(duplicates_)));
  }

  ExitCode end(ExitCode code) {
    progress_.wipe();
    const std::uint64_t next = std::max(stored_through_ + 1, options_.from_line);
    if (options_.json) {
      json::Writer out;
      out.begin_object().key("accepted").integer(static_cast<std::int64_t>(accepted_));
      out.key("duplicates").integer(static_cast<std::int64_t>(duplicates_));
      out.key("next_line").integer(static_cast<std::int64_t>(next)).key("why").string(why_).end_object();
      std::printf("%s\n", out.take().c_str());
    } else {
      std::printf("%s messages stored, %s were there already\n", grouped(accepted_).c_str(),
                  grouped(duplicates_).c_str());
    }
    if (code != kDone)
      std::fprintf(stderr,
                   "twinspool: %s\ntwinspool: what is before line %llu is stored; go on with --from-line %llu\n",
                   why_.c_str(), static_cast<unsigned long long>(next), static_cast<unsigned long long>(next));
    return code;
  }

  const ImportOptions& options_;
  const std::string& socket_;
  Interrupt interrupt_;
  ProgressLine progress_;
  std::vector<Line> lines_;  // read, and not yet stored
  std::size_t batch_max_ = SIZE_MAX;
  bool met_ = false;  // it has answered before
  std::uint64_t accepted_ = 0, duplicates_ = 0, stored_through_ = 0;
  std::string waits_for_;
  std::string why_;  // it ended early
};

}  // namespace

ExitCode run_import(const ImportOptions& options, const std::string& message_socket) {
  return Import(options, message_socket).run();
}

}  // namespace twinspool::ops
