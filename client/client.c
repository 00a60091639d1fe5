#include "twinspool/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "connection.h"
#include "identity.h"
#include "request.h"

#ifdef __GNUC__
#define EXPORTED __attribute__((visibility("default")))
#else
#define EXPORTED
#endif

#define ID_BYTES_MAX 1024 /* the daemon's limit */

static const int64_t kFirstPauseMs = 20;
static const int64_t kPauseMsMax = 1000;
static const int64_t kAnswerMsMax =
    60000; /* twice the daemon's request timeout: then it hangs, and a new attempt is due */
static const int64_t kOneAttemptMs = 1000; /* timeout 0 */
static const int64_t kForbiddenMsMax =
    3000; /* a daemon that starts gives its socket the right mode a moment after it made it */

struct twinspool_client {
  struct connection connection;
  struct buffer request; /* the kept message or batch, as it is sent, each time the same bytes */
  size_t request_start;
  bool unfinished;
  int64_t not_before_ms;   /* monotonic; the next attempt */
  int64_t pause_ms;        /* the next wait between attempts that were not told how long */
  int64_t forbidden_since; /* monotonic; -1: the socket lets us in, as far as we know */
  unsigned attempts;
  uint64_t sequence;
  uint64_t duplicates;
  char id[ID_BYTES_MAX + 1];
  char text[640];
  struct answer answer; /* the last one */
};

/* --- ids ---------------------------------------------------------------------------------------------------------- */

static bool fill_random(void* bytes, size_t size) {
  ssize_t count = 0;
  do {
    count = getrandom(bytes, size, 0);
  } while (count < 0 && errno == EINTR);
  return count == (ssize_t)size;
}

EXPORTED int twinspool_new_id(char id[TWINSPOOL_ID_SIZE]) {
  unsigned char random[16];
  if (!fill_random(random, sizeof random)) return TWINSPOOL_NOT_PERMITTED; /* a sandbox without getrandom */
  uuid_text(random, id);
  return TWINSPOOL_OK;
}

/* --- what is said about a call ------------------------------------------------------------------------------------ */

static int say(twinspool_client* client, int status, const char* text) {
  (void)snprintf(client->text, sizeof client->text, "%s", text);
  return status;
}

static void say_answer(twinspool_client* client, const char* what) {
  char message[512];
  answer_message(&client->answer, message, sizeof message);
  (void)snprintf(client->text, sizeof client->text, "%s %d%s%s%s%s", what, client->answer.status,
                 client->answer.code[0] != '\0' ? " " : "", client->answer.code, message[0] != '\0' ? ": " : "",
                 message);
}

static void say_no_socket(twinspool_client* client, int error) {
  char reason[128] = "";
  (void)strerror_r(error, reason, sizeof reason);
  (void)snprintf(client->text, sizeof client->text, "no connection to %s: %s%s", client->connection.address.sun_path,
                 reason,
                 error == EACCES || error == EPERM ? "; this process has to be in the group of the socket" : "");
}

static void say_stored(twinspool_client* client) {
  if (client->sequence != 0) {
    (void)snprintf(client->text, sizeof client->text, "stored as number %" PRIu64 "%s", client->sequence,
                   client->duplicates > 0 ? ", which it had been before" : "");
  } else {
    (void)snprintf(client->text, sizeof client->text, "stored; %" PRIu64 " of them had been before",
                   client->duplicates);
  }
}

static int time_is_up(twinspool_client* client) {
  char last[sizeof client->text];
  (void)snprintf(last, sizeof last, "%s", client->text);
  if (client->attempts == 0) {
    (void)snprintf(client->text, sizeof client->text, "out of time before the first attempt");
  } else {
    (void)snprintf(client->text, sizeof client->text, "no 204 in time after %u attempt%s; the last: %.500s",
                   client->attempts, client->attempts == 1 ? "" : "s", last);
  }
  return client->forbidden_since >= 0 ? TWINSPOOL_NOT_PERMITTED : TWINSPOOL_TIMED_OUT;
}

/* --- attempts ----------------------------------------------------------------------------------------------------- */

static int64_t after(int64_t now, int64_t duration) { return duration > INT64_MAX - now ? INT64_MAX : now + duration; }

/* Between half and the whole of a pause that doubles, so that many clients do not come back at one moment. */
static void pause_before_next(twinspool_client* client, int64_t now) {
  uint32_t random = 0;
  (void)fill_random(&random, sizeof random);
  const int64_t half = client->pause_ms / 2;
  client->not_before_ms = after(now, half + (int64_t)(random % (uint32_t)(half + 1)));
  client->pause_ms = client->pause_ms * 2 < kPauseMsMax ? client->pause_ms * 2 : kPauseMsMax;
}

static int finish(twinspool_client* client, int status) {
  client->unfinished = false;
  buffer_clear(&client->request);
  return status;
}

/* One more attempt. TWINSPOOL_UNFINISHED: not settled, and not_before_ms says when to try again. */
static int attempt(twinspool_client* client, int64_t deadline) {
  const int64_t latest = after(monotonic_ms(), kAnswerMsMax);
  int error = 0;
  ++client->attempts;
  const enum exchange outcome = connection_exchange(&client->connection, client->request.bytes + client->request_start,
                                                    client->request.size - client->request_start,
                                                    deadline < latest ? deadline : latest, &client->answer, &error);
  const int64_t now = monotonic_ms();
  const bool forbidden = outcome == exchange_no_socket && (error == EACCES || error == EPERM);
  if (!forbidden) client->forbidden_since = -1;
  switch (outcome) {
    case exchange_answered:
      break;
    case exchange_stale:
      (void)say(client, 0, "the daemon closed the connection");
      client->not_before_ms = now;
      return TWINSPOOL_UNFINISHED;
    case exchange_no_socket:
      say_no_socket(client, error);
      if (forbidden && client->forbidden_since < 0) client->forbidden_since = now;
      pause_before_next(client, now);
      return forbidden && now - client->forbidden_since >= kForbiddenMsMax ? TWINSPOOL_NOT_PERMITTED
                                                                           : TWINSPOOL_UNFINISHED;
    case exchange_lost:
      (void)say(client, 0, "the connection was lost before the answer came");
      pause_before_next(client, now);
      return TWINSPOOL_UNFINISHED;
    case exchange_timed_out:
      (void)say(client, 0, "no answer came");
      pause_before_next(client, now);
      return TWINSPOOL_UNFINISHED;
  }
  switch (answer_verdict(&client->answer)) {
    case verdict_stored:
      client->sequence = client->answer.sequence;
      client->duplicates = client->answer.duplicates;
      say_stored(client);
      return finish(client, TWINSPOOL_OK);
    case verdict_refused:
      say_answer(client, "refused with");
      return finish(client, TWINSPOOL_REFUSED);
    case verdict_later:
      break;
  }
  say_answer(client, "answered");
  pause_before_next(client, now);
  if (client->answer.retry_after_ms >= 0) client->not_before_ms = after(now, client->answer.retry_after_ms);
  return TWINSPOOL_UNFINISHED;
}

static int settle(twinspool_client* client, int64_t timeout_ms) {
  const bool once = timeout_ms == 0;
  const int64_t deadline = timeout_ms < 0 ? INT64_MAX : after(monotonic_ms(), once ? kOneAttemptMs : timeout_ms);
  client->pause_ms = kFirstPauseMs;
  for (;;) {
    if (client->not_before_ms > monotonic_ms()) {
      if (once) return time_is_up(client);
      sleep_until(client->not_before_ms < deadline ? client->not_before_ms : deadline);
    }
    if (monotonic_ms() >= deadline) return time_is_up(client);
    const int status = attempt(client, deadline);
    if (status != TWINSPOOL_UNFINISHED) return status;
  }
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

/* Empties the results of the call before. */
static int begin(twinspool_client* client) {
  if (client->unfinished)
    return say(client, TWINSPOOL_UNFINISHED, "another message is unfinished: resume or abandon it");
  buffer_clear(&client->request);
  client->request_start = 0;
  client->not_before_ms = 0;
  client->forbidden_since = -1;
  client->attempts = 0;
  client->sequence = 0;
  client->duplicates = 0;
  client->id[0] = '\0';
  client->text[0] = '\0';
  answer_begin(&client->answer);
  return TWINSPOOL_OK;
}

/* Fills in what the caller left out: it stays the same for all attempts. */
static int complete_message(twinspool_client* client, twinspool_message* message, char* generated_id, char* time) {
  if (message->id == NULL) {
    if (twinspool_new_id(generated_id) != TWINSPOOL_OK) {
      return say(client, TWINSPOOL_NOT_PERMITTED, "the kernel gives no random numbers for an id");
    }
    message->id = generated_id;
  } else if (strlen(message->id) > ID_BYTES_MAX) {
    return say(client, TWINSPOOL_INVALID_ARGUMENT, "the Message-Id is longer than 1024 bytes");
  }
  if (message->source_time == NULL) {
    time_text_now(time);
    message->source_time = time;
  }
  return TWINSPOOL_OK;
}

static int start(twinspool_client* client, int64_t timeout_ms) {
  if (client->request.failed) {
    (void)say(client, 0, "no memory for the message");
    return finish(client, TWINSPOOL_NO_MEMORY);
  }
  client->unfinished = true;
  return settle(client, timeout_ms);
}

EXPORTED int twinspool_send_message(twinspool_client* client, const twinspool_message* message, int64_t timeout_ms) {
  if (client == NULL || message == NULL) return TWINSPOOL_INVALID_ARGUMENT;
  int status = begin(client);
  if (status != TWINSPOOL_OK) return status;
  twinspool_message mine = *message;
  const char* fault = message_fault(&mine);
  if (fault != NULL) return say(client, TWINSPOOL_INVALID_ARGUMENT, fault);
  char generated_id[TWINSPOOL_ID_SIZE];
  char time[TWINSPOOL_TIME_SIZE];
  status = complete_message(client, &mine, generated_id, time);
  if (status != TWINSPOOL_OK) return status;
  (void)snprintf(client->id, sizeof client->id, "%s", mine.id);
  render_message(&client->request, &mine);
  return start(client, timeout_ms);
}

EXPORTED int twinspool_send(twinspool_client* client, const char* twin, const void* body, size_t body_bytes,
                            int64_t timeout_ms) {
  const twinspool_message message = {.twin = twin, .body = body, .body_bytes = body_bytes};
  return twinspool_send_message(client, &message, timeout_ms);
}

static int render_batch(twinspool_client* client, const twinspool_message* messages, size_t count) {
  static const char room[TWINSPOOL_BATCH_HEAD_ROOM];
  char generated_id[TWINSPOOL_ID_SIZE];
  char time[TWINSPOOL_TIME_SIZE];
  buffer_add(&client->request, room, sizeof room);
  for (size_t i = 0; i < count; ++i) {
    twinspool_message mine = messages[i];
    const char* fault = batch_line_fault(&mine);
    if (fault != NULL) {
      (void)snprintf(client->text, sizeof client->text, "message %zu of %zu: %s", i + 1, count, fault);
      return TWINSPOOL_INVALID_ARGUMENT;
    }
    const int status = complete_message(client, &mine, generated_id, time);
    if (status != TWINSPOOL_OK) return status;
    render_batch_line(&client->request, &mine);
    buffer_add_text(&client->request, "\n");
  }
  if (!client->request.failed) {
    client->request_start = render_batch_head(client->request.bytes, client->request.size - sizeof room);
  }
  return TWINSPOOL_OK;
}

EXPORTED int twinspool_send_batch(twinspool_client* client, const twinspool_message* messages, size_t count,
                                  int64_t timeout_ms) {
  if (client == NULL || (messages == NULL && count > 0)) return TWINSPOOL_INVALID_ARGUMENT;
  int status = begin(client);
  if (status != TWINSPOOL_OK) return status;
  if (count == 0) return say(client, TWINSPOOL_OK, "a batch of nothing: nothing to send");
  status = render_batch(client, messages, count);
  if (status != TWINSPOOL_OK) return finish(client, status);
  return start(client, timeout_ms);
}

EXPORTED int twinspool_resume(twinspool_client* client, int64_t timeout_ms) {
  if (client == NULL) return TWINSPOOL_INVALID_ARGUMENT;
  if (!client->unfinished) return TWINSPOOL_OK;
  client->forbidden_since = -1;
  return settle(client, timeout_ms);
}

EXPORTED int twinspool_is_unfinished(const twinspool_client* client) { return client->unfinished ? 1 : 0; }

EXPORTED void twinspool_abandon(twinspool_client* client) { (void)finish(client, TWINSPOOL_OK); }

/* --- life and results --------------------------------------------------------------------------------------------- */

EXPORTED int twinspool_open(twinspool_client** client, const char* socket_path) {
  if (client == NULL) return TWINSPOOL_INVALID_ARGUMENT;
  *client = NULL;
  twinspool_client* made = calloc(1, sizeof *made);
  if (made == NULL) return TWINSPOOL_NO_MEMORY;
  if (!connection_init(&made->connection, socket_path != NULL ? socket_path : TWINSPOOL_DEFAULT_SOCKET)) {
    free(made);
    return TWINSPOOL_INVALID_ARGUMENT;
  }
  made->forbidden_since = -1;
  answer_begin(&made->answer);
  *client = made;
  return TWINSPOOL_OK;
}

EXPORTED void twinspool_close(twinspool_client* client) {
  if (client == NULL) return;
  connection_close(&client->connection);
  buffer_free(&client->request);
  free(client);
}

EXPORTED const char* twinspool_text(const twinspool_client* client) { return client->text; }
EXPORTED const char* twinspool_error_code(const twinspool_client* client) { return client->answer.code; }
EXPORTED const char* twinspool_answer_body(const twinspool_client* client) { return client->answer.body; }
EXPORTED const char* twinspool_id(const twinspool_client* client) { return client->id; }
EXPORTED int twinspool_http_status(const twinspool_client* client) { return client->answer.status; }
EXPORTED unsigned twinspool_attempts(const twinspool_client* client) { return client->attempts; }
EXPORTED uint64_t twinspool_sequence(const twinspool_client* client) { return client->sequence; }
EXPORTED uint64_t twinspool_duplicates(const twinspool_client* client) { return client->duplicates; }

EXPORTED const char* twinspool_status_name(int status) {
  static const char* const names[] = {"TWINSPOOL_OK",         "TWINSPOOL_INVALID_ARGUMENT", "TWINSPOOL_NO_MEMORY",
                                      "TWINSPOOL_UNFINISHED", "TWINSPOOL_TIMED_OUT",        "TWINSPOOL_NOT_PERMITTED",
                                      "TWINSPOOL_REFUSED"};
  const int count = (int)(sizeof names / sizeof names[0]);
  return status >= 0 && status < count ? names[status] : "?";
}

EXPORTED const char* twinspool_client_version(void) { return TWINSPOOL_VERSION; }
