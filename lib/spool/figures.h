// The running figures of a store, and what a message that comes or goes does to them. Pure.
//
// accepted == queued + delivered + quarantined + dropped, always.
//
// They are one row, and writing it with every commit would cost each 4 KiB. So commits that only append leave it as it
// is: the row stands for all messages below its next_sequence, and those from there on are queued, every one, and in no
// figure of it. Whoever reads figures adds them: this process at its start, the views for everybody else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "spool/spool.h"

namespace twinspool {

struct SourceFigures {
  SourceNumber source = 0;
  Waiting queued;
  bool operator==(const SourceFigures&) const = default;
};

// Messages that are in no persisted figure are fewer: a start reads them.
constexpr std::uint64_t kFiguresLagMax = 4096;
// No message weighs more: what says so is damaged. The views have this number, too.
constexpr std::uint64_t kRowBytesMax = 1024 * 1024;

struct Figures {
  Sequence next_sequence = 1;
  std::uint64_t queued_messages = 0, queued_bytes = 0;
  std::uint64_t accepted = 0, duplicates = 0, delivered = 0, quarantined = 0, dropped = 0;
  std::uint64_t expired = 0, lost = 0;  // of dropped: by store.max_age; not found when a damaged file was salvaged
  std::uint64_t quarantine_messages = 0;
  std::uint64_t replayed = 0, retried = 0;          // of accepted: messages that were put back
  std::uint64_t kept_messages = 0, kept_bytes = 0;  // delivered, and kept for a replay
  std::vector<SourceFigures> sources;  // those of which something is queued; together queued_messages and queued_bytes

  Waiting waiting(SourceNumber source) const;
  void appended(SourceNumber source, std::uint64_t bytes);  // under next_sequence, by a sender
  void queued(SourceNumber source, std::uint64_t bytes);
  void left_queue(SourceNumber source, std::uint64_t bytes);
  Waiting of_all_sources() const;
  // Whether `newer` can be told from these and from the rows of the messages from next_sequence on.
  bool with_rows_tell(const Figures& newer) const;
  bool operator==(const Figures&) const = default;
  std::string sources_text() const;  // JSON, as the table figures has it: [[source,messages,bytes],...]
};

}  // namespace twinspool
