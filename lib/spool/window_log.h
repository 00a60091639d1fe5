// The deduplication window on disk, packed in segments of some thousand entries, so that a start reads 43 bytes a
// message instead of its whole row. The newest messages are in no segment yet: their rows are read. Writer thread.
//
// A segment is written by the transaction that stores its last messages, and never changed. One that does not match
// its checksum makes all of them worthless, and everything is read from the rows.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "spool/clocks.h"
#include "spool/dedup_window.h"
#include "spool/store.h"

namespace twinspool {

constexpr std::size_t kSegmentEntriesMax = 8192;

// 32 bytes an entry, little-endian: key (16), body (8), sequence - first (4), milliseconds until it expires (4).
std::string packed(const std::vector<DedupWindow::Entry>& entries, std::int64_t uptime_ms);
// What has expired `passed_ms` later is left out; `uptime_ms` is that of now. nullopt: not what packed() made.
std::optional<std::vector<DedupWindow::Entry>> unpacked(std::string_view bytes, Sequence first, std::int64_t passed_ms,
                                                        std::int64_t uptime_ms);

class WindowLog {
 public:
  struct Covers {  // what need not be read from the rows
    Sequence through = 0;
    std::int64_t trace_n = 0;  // the trace beyond it may tell of later messages
  };

  // Oldest first, what has not expired. False: there is damage, and whatever was visited is worthless.
  Result<bool> load(Store& store, const std::function<void(const DedupWindow::Entry&)>& visit);
  const Covers& covers() const { return covers_; }

  // Between begin() and commit() of the store. `entries` follow what is covered, in sequence order;
  // `all`: no younger message has left the queue. Forgets what has expired, or is beyond kDedupEntriesMax.
  Result<void> append(Store& store, const std::vector<DedupWindow::Entry>& entries, bool all, const Moment& at);
  void committed();    // what append() wrote is durable
  void rolled_back();  // it is not

  Result<void> clear(Store& store);  // between begin() and commit(): everything is to be read from the rows

 private:
  struct Segment {
    std::int64_t n = 0;
    std::size_t entries = 0;
    std::int64_t expires_ms = 0;  // of its last entry, uptime
  };
  struct State {
    Covers covers;
    std::vector<Segment> segments;  // oldest first
  };
  Result<void> trim(Store& store, const Moment& at);

  Covers covers_;
  std::vector<Segment> segments_;
  std::optional<State> before_;  // the transaction
};

}  // namespace twinspool
