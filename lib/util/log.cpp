#include "util/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "util/log_text.h"
#include "util/time.h"

namespace twinspool::log {

namespace {

// Whether stderr goes to the journal: systemd names the stream's device and inode, since children inherit the variable
// but may have another stderr.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat actual {};
  if (stream == nullptr || fstat(STDERR_FILENO, &actual) != 0) return false;
  return std::string_view(stream) == std::to_string(actual.st_dev) + ":" + std::to_string(actual.st_ino);
}

class Output {
 public:
  Output() : logger_("twinspool", std::make_shared<spdlog::sinks::stderr_sink_mt>()) { choose(Format::text); }

  void choose(Format format) {
    journal_ = stderr_is_journal();  // it stamps the time itself
    format_ = format;
    const bool bare = journal_ || format == Format::json;  // JSON has the time among its members
    logger_.set_formatter(std::make_unique<spdlog::pattern_formatter>(bare ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %v",
                                                                      spdlog::pattern_time_type::utc, "\n"));
  }

  void set_level(spdlog::level::level_enum level) { logger_.set_level(level); }
  bool wants(spdlog::level::level_enum level) const { return logger_.should_log(level); }
  bool journal() const { return journal_; }
  Format format() const { return format_; }
  void write(spdlog::level::level_enum level, const std::string& text) { logger_.log(level, text); }

 private:
  spdlog::logger logger_;
  std::atomic<bool> journal_{false};
  std::atomic<Format> format_{Format::text};
};

Output& output() {
  static Output* const instance = new Output;  // never destroyed: destructors of other statics may still log
  return *instance;
}

struct Names {
  spdlog::level::level_enum spdlog;
  std::string_view text;
  std::string_view journal;  // sd-daemon(3) priority
};

Names names_of(Level level) {
  switch (level) {
    case Level::debug:
      return {spdlog::level::debug, "debug", "<7>"};
    case Level::info:
      return {spdlog::level::info, "info", "<6>"};
    case Level::warn:
      return {spdlog::level::warn, "warn", "<4>"};
    case Level::error:
      return {spdlog::level::err, "error", "<3>"};
  }
  return {spdlog::level::err, "error", "<3>"};
}

}  // namespace

void set_up(Level level, Format format) {
  output().choose(format);
  set_level(level);
}

void set_level(Level level) { output().set_level(names_of(level).spdlog); }

void write(Level level, std::string_view event, std::initializer_list<Fact> facts) {
  const Names names = names_of(level);
  Output& out = output();
  if (!out.wants(names.spdlog)) return;
  std::string line(out.journal() ? names.journal : "");
  if (out.format() == Format::json)
    line += event_json(to_rfc3339(wall_now()), names.text, event, facts);
  else
    line += (out.journal() ? "" : std::string(names.text) + " ") + event_text(event, facts);
  out.write(names.spdlog, line);
}

}  // namespace twinspool::log
