#include "util/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>

#include "util/journal.h"
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
  Output() : logger_("twinspool", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    choose(Format::text, kJournalSocket);
  }

  void choose(Format format, std::string_view journal_socket) {
    journal_ = stderr_is_journal() ? std::make_unique<Journal>(journal_socket) : nullptr;
    format_ = format;
    const bool bare = journal_ || format == Format::json;  // which have a time of their own
    logger_.set_formatter(std::make_unique<spdlog::pattern_formatter>(bare ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %v",
                                                                      spdlog::pattern_time_type::utc, "\n"));
  }

  void set_level(spdlog::level::level_enum level) { logger_.set_level(level); }
  bool wants(spdlog::level::level_enum level) const { return logger_.should_log(level); }
  const Journal* journal() const { return journal_.get(); }  // null: stderr goes elsewhere
  Format format() const { return format_; }
  void write(spdlog::level::level_enum level, const std::string& text) { logger_.log(level, text); }

 private:
  spdlog::logger logger_;
  std::unique_ptr<const Journal> journal_;
  std::atomic<Format> format_{Format::text};
};

Output& output() {
  static Output* const instance = new Output;  // never destroyed: destructors of other statics may still log
  return *instance;
}

struct Names {
  spdlog::level::level_enum spdlog;
  std::string_view text;
  int priority;  // syslog(3)
};

Names names_of(Level level) {
  switch (level) {
    case Level::debug:
      return {spdlog::level::debug, "debug", 7};
    case Level::info:
      return {spdlog::level::info, "info", 6};
    case Level::warn:
      return {spdlog::level::warn, "warn", 4};
    case Level::error:
      return {spdlog::level::err, "error", 3};
  }
  return {spdlog::level::err, "error", 3};
}

}  // namespace

void set_up(Level level, Format format, std::string_view journal_socket) {
  output().choose(format, journal_socket);
  set_level(level);
}

void set_level(Level level) { output().set_level(names_of(level).spdlog); }

void write(Level level, std::string_view event, std::initializer_list<Fact> facts) {
  const Names names = names_of(level);
  Output& out = output();
  if (!out.wants(names.spdlog)) return;
  const std::string text = out.format() == Format::json ? event_json(to_rfc3339(wall_now()), names.text, event, facts)
                                                        : event_text(event, facts);
  if (out.journal() != nullptr) {
    if (out.journal()->send(journal_entry(names.priority, text, event, facts))) return;
    return out.write(names.spdlog, "<" + std::to_string(names.priority) + ">" + text);
  }
  out.write(names.spdlog, out.format() == Format::json ? text : std::string(names.text) + " " + text);
}

}  // namespace twinspool::log
