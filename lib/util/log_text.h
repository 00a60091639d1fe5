// The text of one log event: pure, so that what a hostile sender may do to a log line is tested without a logger.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "util/log.h"

namespace twinspool::log {

// `event key=value ...`, always one line of valid UTF-8. A value stands bare where it is plain; one that is empty or
// has spaces, quotes, `=` or anything escaped is quoted: control bytes become \n \r \t or \xNN, quotes and backslashes
// \" and \\, bytes that are not UTF-8 \xNN.
std::string event_text(std::string_view event, std::initializer_list<Fact> facts);

// {"time", "level", "event", and the facts}, on one line; bytes that are not UTF-8 become U+FFFD.
std::string event_json(std::string_view time, std::string_view level, std::string_view event,
                       std::initializer_list<Fact> facts);

}  // namespace twinspool::log
