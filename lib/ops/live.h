// twinspool status --watch and twinspool drain: the daemon's status, again and again, on a screen that is drawn over,
// or as plain lines where the output is no terminal.
#pragma once

#include <optional>
#include <string>

#include "ops/draw.h"
#include "ops/exit_code.h"
#include "ops/rate_history.h"
#include "util/json.h"
#include "util/time.h"

namespace twinspool::ops {

struct LiveOptions {
  std::string admin_socket;
  Duration every = std::chrono::seconds(1);
  bool colour = true;  // where the terminal can
  bool json = false;
};

// Until Ctrl-C. A daemon that goes away is shown as such, and waited for.
ExitCode run_watch(const LiveOptions& options);

struct DrainOptions {
  LiveOptions live;
  std::optional<Duration> timeout;
};

// Until the queue is empty. Fails at the timeout and at Ctrl-C, and says then what still waits and why.
ExitCode run_drain(const DrainOptions& options);

// The status with curves below it, fit for a screen of `lines` lines. Pure.
std::string watch_frame(const json::Document& status, const RateHistory& rates, std::size_t lines, Colour colour,
                        Charset charset);

// Pure.
class DrainView {
 public:
  void add(TimePoint now, const json::Document& status);
  bool drained() const { return queued_ == 0; }
  std::string frame(Colour colour, Charset charset) const;  // at most 10 lines of 80 columns
  std::string line() const;                                 // the same in one
  std::string what_waits() const;                           // and why
  std::string as_json(Duration took) const;

 private:
  double part_done() const;
  std::string eta() const;

  json::Document status_;
  RateHistory rates_;
  double queued_ = -1;  // not asked yet
  double most_ = 0;     // that waited since the beginning
};

}  // namespace twinspool::ops
