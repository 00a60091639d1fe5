// Levelled events with facts: log::warn("forward.retry", {{"twin", twin}, {"delay_ms", delay}}) gives
//   2026-11-23T20:20:41.123Z warn forward.retry twin=pump delay_ms=500
// or, with Format::json, an object a line:
//   {"time":"2026-11-23T20:20:41.123Z","level":"warn","event":"forward.retry","twin":"pump","delay_ms":500}
// Values are escaped, so that one event is always one line, whatever a client or the cloud sent. No bodies, no tokens.
// Where stderr goes to the journal, events go there as entries with fields (journal.h). What the journal does not take
// that way goes to stderr, each line beginning with its priority (sd-daemon(3)). Neither text has a time of its own.
// May be called from any thread. What repeats is a metric, not a line.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace twinspool::log {

constexpr std::string_view kJournalSocket = "/run/systemd/journal/socket";

enum class Level : std::uint8_t { debug, info, warn, error };
enum class Format : std::uint8_t { text, json };

struct Fact {
  std::string_view key;
  std::string value;
  bool literal = false;  // a number, true or false: without quotes in JSON

  Fact(std::string_view name, std::string text) : key(name), value(std::move(text)) {}
  Fact(std::string_view name, std::string_view text) : key(name), value(text) {}
  Fact(std::string_view name, const char* text) : key(name), value(text) {}
  Fact(std::string_view name, bool flag) : key(name), value(flag ? "true" : "false"), literal(true) {}
  template <std::integral Number>
  Fact(std::string_view name, Number number) : key(name), value(std::to_string(number)), literal(true) {}
};

// Once, before other threads start; without it events from `info` up go to stderr as text.
void set_up(Level level, Format format = Format::text, std::string_view journal_socket = kJournalSocket);
void set_level(Level level);

void write(Level level, std::string_view event, std::initializer_list<Fact> facts);
inline void debug(std::string_view event, std::initializer_list<Fact> facts = {}) { write(Level::debug, event, facts); }
inline void info(std::string_view event, std::initializer_list<Fact> facts = {}) { write(Level::info, event, facts); }
inline void warn(std::string_view event, std::initializer_list<Fact> facts = {}) { write(Level::warn, event, facts); }
inline void error(std::string_view event, std::initializer_list<Fact> facts = {}) { write(Level::error, event, facts); }

}  // namespace twinspool::log
