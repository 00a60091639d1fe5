/* One HTTP answer of the daemon, read from bytes that come in any pieces. Pure.
 *
 * No general parser: it reads what twinspoold sends (Content-Length or no body), keeps what the client needs, and calls
 * everything else malformed, which costs the connection and one more attempt. */
#ifndef TWINSPOOL_ANSWER_H
#define TWINSPOOL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TWINSPOOL_ANSWER_HEAD_BYTES_MAX 4096
#define TWINSPOOL_ANSWER_BODY_BYTES_MAX 16384 /* what is kept; the rest is read and dropped */

enum answer_state { answer_head, answer_body, answer_complete, answer_malformed };

struct answer {
  enum answer_state state;
  int status;
  uint64_t sequence;
  uint64_t duplicates;    /* Twinspool-Duplicate: true is one */
  int64_t retry_after_ms; /* -1: none */
  bool close;             /* the daemon closes the connection behind it */
  char code[64];
  uint64_t body_left;
  size_t head_size;
  size_t body_size;
  char head[TWINSPOOL_ANSWER_HEAD_BYTES_MAX];
  char body[TWINSPOOL_ANSWER_BODY_BYTES_MAX + 1]; /* ends with a zero */
};

void answer_begin(struct answer* answer);
/* Returns how many bytes were eaten: fewer than given once the state is complete or malformed. */
size_t answer_feed(struct answer* answer, const char* bytes, size_t size);

/* The value of the first "message" of the error, unescaped, cut to what fits. */
void answer_message(const struct answer* answer, char* text, size_t size);

enum verdict { verdict_stored, verdict_refused, verdict_later };
/* Later: 408, 429, 5xx and whatever carries Retry-After. */
enum verdict answer_verdict(const struct answer* answer);

#ifdef __cplusplus
}
#endif

#endif
