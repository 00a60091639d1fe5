// Whether a message was accepted before: what the committer asks, and how the answer survives a restart. Writer thread.
//
// The window is in memory, bounded, and known again at a start: from its segments on disk (spool/window_log.h), and
// from the rows of the messages that are in none yet, those that have left the queue included.
#pragma once

#include <optional>

#include "spool/dedup_window.h"
#include "spool/store.h"
#include "spool/window_log.h"
#include "util/digest.h"

namespace twinspool {

class Deduplication {
 public:
  struct Key {
    Digest128 id;  // of twin, component and Message-Id
    std::uint64_t body = 0;
  };

  // After the store was opened, or replaced by another generation. `window` <= 0: everything is new.
  Result<void> load(Store& store, Duration window);
  // Rows came in before those that were there: everything is read from the rows again.
  Result<void> reload(Store& store, Duration window);

  void use_key(const DigestKey& key) { digester_ = Digester(key); }
  Key key_of(const Telemetry& message);
  void expect(const Key& key) const { window_.expect(key.id); }  // find() follows
  std::uint64_t body_digest(const Telemetry& message) { return digester_.digest64({message.body}); }

  std::optional<DedupWindow::Entry> find(const Key& key, std::int64_t uptime_ms) const;
  void expire(std::int64_t uptime_ms);

  // One transaction of the store. What is added is known at once, also to the same transaction.
  void begin() { added_ = 0; }
  void add(const Key& key, Sequence sequence, std::int64_t expires_ms);
  std::size_t added() const { return added_; }
  void take_back(std::size_t count);  // the newest
  // Before the commit, after its last message and its last departure; not while the disk is full: a restart reads more
  // rows instead.
  Result<void> write(Store& store, std::size_t departures, const Moment& at);
  void committed();
  void rolled_back();

 private:
  Result<void> load_rows(Store& store, Duration window);

  Digester digester_{DigestKey{}};
  DedupWindow window_;
  WindowLog log_;
  std::size_t added_ = 0;
  std::size_t unlogged_ = 0;         // the newest of window_, in no segment yet
  std::size_t unlogged_before_ = 0;  // write() of this transaction
  std::uint64_t departures_ = 0;     // since a segment told how far the trace was
  bool wrote_ = false;
};

}  // namespace twinspool
