// Messages that left the queue, put back by an operator: a replay of what was delivered and kept, or a retry of what
// was quarantined; and the quarantine's end, a purge.
//
// A message that is put back goes to the tail with a new sequence, same Message-Id, same bytes. It counts as accepted
// again, against store.max_size and store.max_messages but no source's quota, and is invisible to the deduplication
// window. It is done in slices, each a commit of its own, so that what senders wait for goes on between them. What a
// stop leaves undone was not done; the answer says how far it went.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "spool/spool.h"
#include "spool/store.h"

namespace twinspool {

constexpr std::size_t kSliceMessagesMax = 256;
constexpr std::size_t kSliceBytesMax = 1 << 20;
constexpr std::size_t kSliceRowsScannedMax = 4096;

// One recall, on the writer thread.
class RecallRun {
 public:
  // Whether the queue has room for such a message, and if not, why.
  using Admit = std::function<std::optional<Refused>(std::uint64_t bytes)>;

  explicit RecallRun(Recall order);

  // The next slice. Begins a transaction of the store where there is something to write, which the caller commits.
  // Messages that were put back are appended to `put_back`, texts included.
  Result<void> step(Store& store, const Admit& admit, const std::function<std::uint64_t(const Telemetry&)>& body_digest,
                    const Moment& at, std::vector<Message>& put_back);
  void committed() { done_ = next_; }  // what step() did is durable
  void stop(const std::string& why);   // what the last step() did was rolled back, and there will be no other

  bool ended() const { return done_.ended; }
  const Recalled& result() const { return done_.result; }

 private:
  struct Progress {
    std::int64_t cursor = 0;  // the last row that was looked at
    std::size_t asked = 0;    // of order_.sequences
    bool ended = false;
    Recalled result;
  };
  struct Candidate {
    std::int64_t row = 0;
    std::int64_t delivered_ms = 0;
    Sequence replay_of = 0, retry_of = 0;
    std::uint64_t bytes = 0;
    bool sound = false;
    Message message;
  };

  Result<std::vector<Candidate>> look_at_kept(Store& store);
  Result<std::vector<Candidate>> look_at_quarantined(Store& store);
  // False: there is no room, and the run has ended.
  Result<bool> put_back_or_purge(Store& store, Candidate& candidate, const Admit& admit, std::uint64_t body_digest,
                                 const Moment& at, std::vector<Message>& put_back);

  Recall order_;
  std::optional<TwinNumber> twin_;      // of order_.twin, once it was looked up
  std::optional<std::int64_t> newest_;  // row when the run began: what it puts back itself is not met again
  Progress done_;
  Progress next_;
};

}  // namespace twinspool
