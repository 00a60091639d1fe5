/* A keep-alive connection to the daemon's Unix socket, and one request with its answer on it. */
#ifndef TWINSPOOL_CONNECTION_H
#define TWINSPOOL_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "answer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct connection {
  struct sockaddr_un address;
  int descriptor; /* -1: none; one is made when it is needed */
};

enum exchange {
  exchange_answered,
  exchange_stale,     /* a connection from earlier was closed meanwhile: a new one is worth an attempt at once */
  exchange_no_socket, /* errno in *error */
  exchange_lost,      /* the request may have been taken: its answer did not come */
  exchange_timed_out
};

int64_t monotonic_ms(void);
void sleep_until(int64_t monotonic_deadline_ms);

/* False: the path is empty or too long for a socket. */
bool connection_init(struct connection* connection, const char* path);
void connection_close(struct connection* connection);

/* Sends `size` bytes and reads the answer, until `deadline_ms`. After anything but an answer the connection is closed,
 * because an answer that still comes would be taken for the next one. */
enum exchange connection_exchange(struct connection* connection, const char* request, size_t size, int64_t deadline_ms,
                                  struct answer* answer, int* error);

#ifdef __cplusplus
}
#endif

#endif
