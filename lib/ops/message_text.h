// Messages as operators see them, and as other programs read them. Pure.
#pragma once

#include <string>

#include "spool/queue_reader.h"
#include "spool/telemetry.h"
#include "spool/whereabouts.h"

namespace twinspool::ops {

// One line of POST /telemetry:batch, with its line end: twin and component as people write them, the body's bytes as
// they are. JSON has a line break only between its tokens, and there it becomes a space.
std::string batch_line(const Telemetry& telemetry);

std::string list_heading();
std::string list_line(const QueuedMessage& message);                      // one line, 80 columns where names are short
std::string newcomer_line(const Newcomer& message, std::size_t columns);  // cut to `columns`; 0: whole

// Objects of one line, without its end: the names are those of the view `queue`, and `state`.
std::string message_json(const QueuedMessage& message);
std::string newcomer_json(const Newcomer& message);
std::string left_json(const LeftMessage& message);
std::string quarantined_json(const Quarantined& message);

std::string message_text(const QueuedMessage& message);  // a name and a value a line, the body last
std::string left_text(const LeftMessage& message);
std::string quarantined_text(const Quarantined& message);

}  // namespace twinspool::ops
