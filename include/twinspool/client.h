/* Sends telemetry to twinspoold over its Unix socket, from C or C++. Needs libc and nothing else.
 *
 *   twinspool_client *client;
 *   if (twinspool_open(&client, NULL) != TWINSPOOL_OK) return 1;
 *   int status = twinspool_send(client, "pump-1", "{\"temperature\": 21.5}", 21, 5000);
 *   if (status != TWINSPOOL_OK) fprintf(stderr, "%s\n", twinspool_text(client));
 *   twinspool_close(client);
 *
 * TWINSPOOL_OK means that the message is on the gateway's disk; from there it is the daemon's to deliver. Until then
 * the client keeps the message, its Message-Id and its source time, and tries again by itself: while the socket is not
 * there, while the daemon restarts, when an answer is lost, and when the daemon says "later" (it waits as long as
 * Retry-After asks). All attempts are the same bytes with the same Message-Id, so a message that was stored although
 * its answer was lost is not stored twice, as long as the attempts lie within the daemon's store.dedup_window (10
 * minutes by default).
 *
 * A call that runs out of time returns TWINSPOOL_TIMED_OUT and the message stays in the client: it may or may not be
 * stored. Go on with twinspool_resume(); until it has ended, or was given up with twinspool_abandon(), the client takes
 * no other message. A message in a client does not survive the process: an application that must not lose a reading
 * across its own crash writes it down first, with an id of twinspool_new_id(), and sends that again after its restart.
 *
 * Threads: a client belongs to one thread at a time; give each thread its own. There is no global state, no thread and
 * no signal handler in here, and a daemon that goes away causes no SIGPIPE. A signal does not end a call. After fork()
 * only one of the two processes may go on using a client.
 *
 * Memory: one buffer a client, which grows to the largest message or batch that was sent and is then used again.
 * Nothing else is allocated after twinspool_open().
 */
#ifndef TWINSPOOL_CLIENT_H
#define TWINSPOOL_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TWINSPOOL_DEFAULT_SOCKET "/run/twinspool/twinspool.sock"
#define TWINSPOOL_BODY_BYTES_MAX 32768 /* of one message */
#define TWINSPOOL_ID_SIZE 37           /* of a generated Message-Id with its terminating zero */

/* What every function that can fail returns. twinspool_text() says more. */
enum {
  TWINSPOOL_OK = 0,               /* on disk */
  TWINSPOOL_INVALID_ARGUMENT = 1, /* yours; nothing was sent and nothing is kept */
  TWINSPOOL_NO_MEMORY = 2,        /* nothing was sent and nothing is kept */
  TWINSPOOL_UNFINISHED = 3,       /* the client still holds another message: resume it or abandon it first */
  TWINSPOOL_TIMED_OUT = 4,        /* no answer that settles it in time: the message is kept, call twinspool_resume() */
  TWINSPOOL_NOT_PERMITTED = 5,    /* this process may not use the socket: the message is kept */
  TWINSPOOL_REFUSED = 6           /* for good, see twinspool_http_status(): not stored, not kept, never try it again */
};

typedef struct twinspool_client twinspool_client;

/* A message. What is zero is absent, so set only what you need: `twinspool_message m = {.twin = "pump-1", ...}`.
 * Texts are UTF-8. Nothing of it is used any more once the call that took it has returned. */
typedef struct twinspool_message {
  const char* twin;        /* its id as plain text, which is encoded here */
  const char* component;   /* NULL: the twin itself */
  const char* id;          /* Message-Id; NULL: a new UUID. Two messages of a twin never have the same */
  const char* source_time; /* RFC 3339; NULL: the time of this call; "": none, the daemon stamps it at acceptance */
  const char* traceparent; /* W3C trace context, passed on as it is */
  const char* tracestate;
  const void* body; /* one JSON object */
  size_t body_bytes;
} twinspool_message;

/* `socket_path` NULL: TWINSPOOL_DEFAULT_SOCKET. Connects only when something is sent, so the daemon need not be up yet.
 * On failure *client is NULL. */
int twinspool_open(twinspool_client** client, const char* socket_path);
void twinspool_close(twinspool_client* client); /* NULL is fine; gives up an unfinished message */

/* These return when the message is on disk, was refused for good, or `timeout_ms` have passed. 0: one attempt, without
 * waiting for a daemon that is not there, and with up to a second for its answer. Negative: as long as it takes. */
int twinspool_send(twinspool_client* client, const char* twin, const void* body, size_t body_bytes, int64_t timeout_ms);
int twinspool_send_message(twinspool_client* client, const twinspool_message* message, int64_t timeout_ms);

/* All of them in one transaction, or none: the fast way for many messages, in order, of one or more twins. They are
 * kept and tried again as one. A body in a batch has no line breaks (TWINSPOOL_INVALID_ARGUMENT), because a batch has
 * one message a line. The daemon's ingest.batch_max (4 MiB) limits a batch: a larger one is refused. */
int twinspool_send_batch(twinspool_client* client, const twinspool_message* messages, size_t count, int64_t timeout_ms);

/* Goes on with what TWINSPOOL_TIMED_OUT or TWINSPOOL_NOT_PERMITTED left; TWINSPOOL_OK where nothing is unfinished. A
 * Retry-After that has not passed yet is still waited for. */
int twinspool_resume(twinspool_client* client, int64_t timeout_ms);
int twinspool_is_unfinished(const twinspool_client* client);
void twinspool_abandon(twinspool_client* client); /* forgets it; it may have been stored all the same */

/* About the last call. The texts are valid until the next call with this client, and never NULL. */
const char* twinspool_text(const twinspool_client* client);        /* what happened, one sentence for people */
const char* twinspool_error_code(const twinspool_client* client);  /* the daemon's, such as "QuotaExceeded"; or "" */
const char* twinspool_answer_body(const twinspool_client* client); /* JSON of a refusal, its first 16 KiB; or "" */
const char* twinspool_id(const twinspool_client* client);          /* Message-Id of the last single message; or "" */
int twinspool_http_status(const twinspool_client* client);         /* of the last answer; 0: there was none */
unsigned twinspool_attempts(const twinspool_client* client);       /* of this message, over all calls */
uint64_t twinspool_sequence(const twinspool_client* client);       /* its place in the queue; 0: not known */
/* A single message had been stored before, by an earlier attempt whose answer was lost, or under the same id: 0 or 1.
 * Of a batch: how many. */
uint64_t twinspool_duplicates(const twinspool_client* client);

/* A random UUID (version 4) of the kernel's generator. */
int twinspool_new_id(char id[TWINSPOOL_ID_SIZE]);

const char* twinspool_status_name(int status); /* "TWINSPOOL_TIMED_OUT"; "?" for an unknown one */
const char* twinspool_client_version(void);

#ifdef __cplusplus
}
#endif

#endif
