#include "ops/interrupt.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "util/error.h"

namespace twinspool::ops {

Interrupt::Interrupt() {
  sigset_t ours;
  sigemptyset(&ours);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ours, signal);
  ENSURE(sigprocmask(SIG_BLOCK, &ours, &before_) == 0);
  signals_ = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
  ENSURE(signals_ >= 0);
}

Interrupt::~Interrupt() {
  close(signals_);
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

bool Interrupt::wait(Duration time) {
  const TimePoint until = monotonic_now() + time;
  while (!over_) {
    const Duration left = std::max(until - monotonic_now(), Duration::zero());
    const timespec timeout{.tv_sec = static_cast<time_t>(left / std::chrono::seconds(1)),
                           .tv_nsec = static_cast<long>((left % std::chrono::seconds(1)).count())};
    // A pipe without a reader reports POLLERR, though nothing is asked for.
    pollfd watched[] = {{.fd = signals_, .events = POLLIN, .revents = 0},
                        {.fd = STDOUT_FILENO, .events = 0, .revents = 0}};
    const int ready = ppoll(watched, 2, &timeout, nullptr);
    if (ready == 0) return true;
    if (ready < 0 && errno == EINTR) continue;
    take_signals();
  }
  return false;
}

bool Interrupt::wait_readable(int descriptor) {
  while (!over_) {
    pollfd watched[] = {{.fd = signals_, .events = POLLIN, .revents = 0},
                        {.fd = descriptor, .events = POLLIN, .revents = 0}};
    if (poll(watched, 2, -1) < 0 && errno == EINTR) continue;
    if (watched[0].revents == 0) return true;
    take_signals();
  }
  return false;
}

void Interrupt::take_signals() {
  signalfd_siginfo taken{};  // taken, so that it does not end us later
  while (read(signals_, &taken, sizeof taken) > 0) {
  }
  over_ = true;
}

}  // namespace twinspool::ops
