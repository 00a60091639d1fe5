// The endpoint as a whole: whether anything may be sent to it now, and how much at once. Pure: time is an argument.
//
//   probing (one request at a time) → up (1, 2, 4 … connections in flight) → waiting (nothing) → probing …
//
// Two limits grow while it is up: the requests in flight with each round of answers, for an endpoint that is slow to
// answer, and their rate with time (ramp.h), for one that is quick and serves a whole fleet.
//
// It begins probing. Whoever sends asks allowance(), takes a Permit with sent(), and brings the Permit back with the
// outcome. Failures of requests that were sent before the endpoint was last found bad say nothing new: they lengthen no
// backoff.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "forward/backoff.h"
#include "forward/outcome.h"
#include "forward/ramp.h"
#include "spool/telemetry.h"
#include "util/time.h"

namespace twinspool::forward {

// After an outage: spread and little by little, or as soon as it can (scripts/bench fleet shows the difference).
enum class Return : std::uint8_t { gentle, at_once };

class Endpoint {
 public:
  enum class State : std::uint8_t { probing, up, waiting };

  // Who bears the consequence of an outcome.
  enum class Blame : std::uint8_t {
    message,   // delivered, or to be quarantined: the message leaves the queue
    lane,      // the twin's lane waits, the others go on
    endpoint,  // the message goes back to the head of its lane; the endpoint decides when it is tried again
  };

  struct Permit {
    std::uint64_t epoch = 0;  // counts how often the endpoint was found bad
    TimePoint sent_at{};
  };

  Endpoint(const RetryConfig& config, std::uint32_t connections, std::uint64_t seed, Return manner = Return::gentle);

  std::size_t allowance(TimePoint now);  // how many more requests may be sent now; ends a wait that is over
  Permit permit(TimePoint now) const { return {epoch_, now}; }  // for a dial, which is not a request
  Permit sent(TimePoint now);
  Blame finished(const Permit& permit, const Outcome& outcome, TwinNumber twin, TimePoint now);

  // A request that came to nothing through nobody's fault: an idle connection that the server closed as we sent.
  void withdrawn(const Permit& permit);

  // A dial or a token fetch failed. Blame::lane: requests sent meanwhile were answered, so the endpoint itself is well.
  Blame failed(const Permit& permit, const Outcome& outcome, TimePoint now);

  void kick();  // ends a wait, forgets the failures

  State state() const { return state_; }
  bool known() const { return known_; }    // was found well or bad at least once
  bool ailing() const { return ailing_; }  // found bad, and not yet found well again; probing does not end it
  // When allowance() may rise without an answer: a wait is over, or the rate allows one more. kNever: no time is known.
  TimePoint next_allowance() const;
  TimePoint retry_at() const { return state_ == State::waiting ? retry_at_ : kNever; }
  const Outcome& trouble() const { return trouble_; }  // the newest that made it wait; verdict delivered: none
  std::uint32_t failures() const { return failures_; }

 private:
  void answered(const Permit& permit, TimePoint now);
  Blame judge(const Permit& permit, const Outcome& outcome, TimePoint now);
  void wait(const Outcome& outcome, Duration delay, TimePoint now);

  // A 500 may be one poisonous message's fault; as many twins in a row without one good answer are the service's.
  static constexpr std::size_t kFaultyLanesMax = 8;

  Backoff backoff_;
  std::optional<Ramp> ramp_;  // Return::at_once has none
  const std::size_t connections_;
  State state_ = State::probing;
  bool known_ = false;
  bool ailing_ = false;
  std::uint64_t epoch_ = 0;
  std::size_t in_flight_ = 0;  // of this epoch
  std::size_t limit_ = 1;
  std::size_t good_of_round_ = 0;
  std::uint32_t failures_ = 0;
  bool token_renewed_ = false;  // since the last good answer
  TimePoint retry_at_ = kNever;
  TimePoint good_at_ = TimePoint::min();
  Outcome trouble_;
  std::vector<TwinNumber> faulty_lanes_;  // answered 5xx since the last good answer; at most kFaultyLanesMax
};

}  // namespace twinspool::forward
