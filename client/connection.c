#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t monotonic_ms(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_until(int64_t monotonic_deadline_ms) {
  struct timespec when;
  when.tv_sec = (time_t)(monotonic_deadline_ms / 1000);
  when.tv_nsec = (long)(monotonic_deadline_ms % 1000) * 1000000;
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR) {
  }
}

bool connection_init(struct connection* connection, const char* path) {
  memset(connection, 0, sizeof *connection);
  connection->descriptor = -1;
  connection->address.sun_family = AF_UNIX;
  if (path[0] == '\0' || strlen(path) >= sizeof connection->address.sun_path) return false;
  memcpy(connection->address.sun_path, path, strlen(path));
  return true;
}

void connection_close(struct connection* connection) {
  if (connection->descriptor >= 0) (void)close(connection->descriptor);
  connection->descriptor = -1;
}

static int connect_to(const struct sockaddr_un* address) {
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  /* On a Unix socket this is done at once, or refused: EAGAIN is a daemon with too many clients waiting for it. */
  if (connect(descriptor, (const struct sockaddr*)address, sizeof *address) == 0) return descriptor;
  const int error = errno;
  (void)close(descriptor);
  errno = error;
  return -1;
}

/* Nothing may have come between two requests: the end of the connection, or an answer to nothing, is the end of it. */
static bool is_quiet(int descriptor) {
  char byte;
  const ssize_t count = recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

static bool would_block(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

/* Waits for `events`, POLLIN or more. False: the deadline has passed. */
static bool wait_for(int descriptor, short events, int64_t deadline_ms) {
  for (;;) {
    const int64_t left = deadline_ms - monotonic_ms();
    struct pollfd polled = {.fd = descriptor, .events = events, .revents = 0};
    const int ready = poll(&polled, 1, left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
    if (ready > 0) return true;
    if (ready == 0 && deadline_ms - monotonic_ms() <= 0) return false;
  }
}

/* Reads what is there. False: the connection has ended before the answer has. */
static bool read_some(int descriptor, struct answer* answer) {
  char bytes[4096];
  const ssize_t count = recv(descriptor, bytes, sizeof bytes, 0);
  if (count < 0) return would_block();
  if (count == 0) return false;
  (void)answer_feed(answer, bytes, (size_t)count);
  return true;
}

/* An answer may come before the whole request is out: a refusal of its size. Then the rest is not sent. */
static enum exchange run_exchange(int descriptor, const char* request, size_t size, int64_t deadline_ms,
                                  struct answer* answer) {
  size_t sent = 0;
  bool writable = true;
  for (;;) {
    if (writable && sent < size) {
      const ssize_t count = send(descriptor, request + sent, size - sent, MSG_NOSIGNAL);
      if (count > 0) sent += (size_t)count;
      if (count < 0 && !would_block()) writable = false; /* an answer that explains it may be waiting */
    }
    const bool wants_more = writable && sent < size;
    if (!wait_for(descriptor, (short)(POLLIN | (wants_more ? POLLOUT : 0)), deadline_ms)) return exchange_timed_out;
    if (!read_some(descriptor, answer)) return exchange_lost;
    if (answer->state == answer_malformed) return exchange_lost;
    if (answer->state == answer_complete) {
      if (sent < size) answer->close = true;
      return exchange_answered;
    }
  }
}

enum exchange connection_exchange(struct connection* connection, const char* request, size_t size, int64_t deadline_ms,
                                  struct answer* answer, int* error) {
  answer_begin(answer);
  if (connection->descriptor >= 0 && !is_quiet(connection->descriptor)) connection_close(connection);
  const bool reused = connection->descriptor >= 0;
  if (!reused) {
    connection->descriptor = connect_to(&connection->address);
    *error = errno;
    if (connection->descriptor < 0) return exchange_no_socket;
  }
  enum exchange outcome = run_exchange(connection->descriptor, request, size, deadline_ms, answer);
  if (outcome == exchange_lost && reused && answer->head_size == 0) outcome = exchange_stale;
  if (outcome != exchange_answered || answer->close) connection_close(connection);
  return outcome;
}
