// Ctrl-C as an answer instead of an end: for verbs that go on until somebody has seen enough.
#pragma once

#include <csignal>

#include "util/time.h"

namespace twinspool::ops {

// While it lives, SIGINT, SIGTERM and SIGHUP end wait() instead of the process. One at a time, one thread.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();  // a signal that came and was not seen takes its usual course
  Interrupt(Interrupt&&) = delete;

  // Sleeps. False, at once: a signal came, now or earlier, or whoever read our standard output (a pipe) has gone.
  bool wait(Duration time);
  // Until `descriptor` can be read, without a limit. False as above, but for our output, which may be nobody's concern.
  bool wait_readable(int descriptor);

 private:
  void take_signals();

  sigset_t before_{};
  int signals_ = -1;
  bool over_ = false;
};

}  // namespace twinspool::ops
