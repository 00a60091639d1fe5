#include "answer.h"

#include <string.h>
#include <strings.h>

static const uint64_t kRetryAfterSecondsMax = 24 * 3600; /* more is not meant */

void answer_begin(struct answer* answer) {
  answer->state = answer_head;
  answer->status = 0;
  answer->sequence = 0;
  answer->duplicates = 0;
  answer->retry_after_ms = -1;
  answer->close = false;
  answer->code[0] = '\0';
  answer->body_left = 0;
  answer->head_size = 0;
  answer->body_size = 0;
  answer->body[0] = '\0';
}

static bool parse_number(const char* text, uint64_t* number) {
  uint64_t value = 0;
  if (*text == '\0') return false;
  for (; *text != '\0'; ++text) {
    if (*text < '0' || *text > '9') return false;
    const unsigned digit = (unsigned)(*text - '0');
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *number = value;
  return true;
}

/* `value` is trimmed. False: the answer cannot be understood. */
static bool take_header(struct answer* answer, const char* name, const char* value) {
  uint64_t number = 0;
  if (strcasecmp(name, "Content-Length") == 0) return parse_number(value, &answer->body_left);
  if (strcasecmp(name, "Transfer-Encoding") == 0) return false; /* the daemon never does */
  if (strcasecmp(name, "Connection") == 0) {
    answer->close = strcasecmp(value, "close") == 0;
  } else if (strcasecmp(name, "Twinspool-Sequence") == 0) {
    (void)parse_number(value, &answer->sequence);
  } else if (strcasecmp(name, "Twinspool-Duplicate") == 0) {
    answer->duplicates = strcasecmp(value, "true") == 0 ? 1 : 0;
  } else if (strcasecmp(name, "Twinspool-Duplicates") == 0) {
    (void)parse_number(value, &answer->duplicates);
  } else if (strcasecmp(name, "Retry-After") == 0 && parse_number(value, &number)) {
    if (number > kRetryAfterSecondsMax) number = kRetryAfterSecondsMax;
    answer->retry_after_ms = (int64_t)number * 1000;
  } else if (strcasecmp(name, "x-ms-error-code") == 0) {
    strncpy(answer->code, value, sizeof answer->code - 1);
    answer->code[sizeof answer->code - 1] = '\0';
  }
  return true;
}

static bool take_status_line(struct answer* answer, const char* line) {
  static const char version[] = "HTTP/1.1 ";
  if (strncmp(line, version, sizeof version - 1) != 0) return false;
  const char* digits = line + sizeof version - 1;
  for (int i = 0; i < 3; ++i) {
    if (digits[i] < '0' || digits[i] > '9') return false;
    answer->status = answer->status * 10 + (digits[i] - '0');
  }
  return (digits[3] == ' ' || digits[3] == '\0') && answer->status >= 100;
}

static bool take_field(struct answer* answer, char* line) {
  char* colon = strchr(line, ':');
  if (colon == NULL || colon == line) return false;
  *colon = '\0';
  char* value = colon + 1;
  while (*value == ' ' || *value == '\t') ++value;
  char* end = value + strlen(value);
  while (end > value && (end[-1] == ' ' || end[-1] == '\t')) --end;
  *end = '\0';
  return take_header(answer, line, value);
}

/* The head is complete in answer->head, which ends with an empty line; it is cut into lines in place. */
static bool parse_head(struct answer* answer) {
  answer->head[answer->head_size - 2] = '\0'; /* the last line keeps its own line break */
  if (memchr(answer->head, '\0', answer->head_size - 2) != NULL) return false;
  char* line = answer->head;
  for (int number = 0; *line != '\0'; ++number) {
    char* end = strstr(line, "\r\n");
    *end = '\0';
    if (!(number == 0 ? take_status_line(answer, line) : take_field(answer, line))) return false;
    line = end + 2;
  }
  return answer->status != 0;
}

static void end_head(struct answer* answer) {
  if (!parse_head(answer)) {
    answer->state = answer_malformed;
  } else if (answer->status < 200) { /* 100 Continue: the answer follows */
    answer_begin(answer);
  } else if (answer->status == 204 || answer->status == 304 || answer->body_left == 0) {
    answer->state = answer_complete;
  } else {
    answer->state = answer_body;
  }
}

static size_t feed_head(struct answer* answer, const char* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (answer->head_size == TWINSPOOL_ANSWER_HEAD_BYTES_MAX) {
      answer->state = answer_malformed;
      return i;
    }
    answer->head[answer->head_size++] = bytes[i];
    if (answer->head_size >= 4 && memcmp(answer->head + answer->head_size - 4, "\r\n\r\n", 4) == 0) {
      end_head(answer);
      return i + 1;
    }
  }
  return size;
}

static size_t feed_body(struct answer* answer, const char* bytes, size_t size) {
  const size_t mine = size < answer->body_left ? size : (size_t)answer->body_left;
  const size_t room = TWINSPOOL_ANSWER_BODY_BYTES_MAX - answer->body_size;
  const size_t kept = mine < room ? mine : room;
  memcpy(answer->body + answer->body_size, bytes, kept);
  answer->body_size += kept;
  answer->body[answer->body_size] = '\0';
  answer->body_left -= mine;
  if (answer->body_left == 0) answer->state = answer_complete;
  return mine;
}

size_t answer_feed(struct answer* answer, const char* bytes, size_t size) {
  size_t eaten = 0;
  while (eaten < size && (answer->state == answer_head || answer->state == answer_body)) {
    eaten += answer->state == answer_head ? feed_head(answer, bytes + eaten, size - eaten)
                                          : feed_body(answer, bytes + eaten, size - eaten);
  }
  return eaten;
}

/* What an escaped character stands for, as far as a sentence for people needs it. */
static char unescaped(char c) {
  switch (c) {
    case 'n':
    case 'r':
    case 't':
    case 'b':
    case 'f':
      return ' ';
    case 'u':
      return '?';
    default:
      return c;
  }
}

void answer_message(const struct answer* answer, char* text, size_t size) {
  static const char key[] = "\"message\":\"";
  size_t length = 0;
  const char* from = strstr(answer->body, key);
  if (from != NULL) {
    from += sizeof key - 1;
    while (*from != '\0' && *from != '"' && length + 1 < size) {
      if (*from != '\\') {
        text[length++] = *from++;
        continue;
      }
      if (*++from == '\0') break;
      text[length++] = unescaped(*from);
      const size_t digits = *from == 'u' ? strspn(from + 1, "0123456789abcdefABCDEF") : 0;
      from += 1 + (digits < 4 ? digits : 4);
    }
  }
  text[length] = '\0';
}

enum verdict answer_verdict(const struct answer* answer) {
  if (answer->status >= 200 && answer->status < 300) return verdict_stored;
  if (answer->retry_after_ms >= 0 || answer->status == 408 || answer->status == 429 || answer->status >= 500) {
    return verdict_later;
  }
  return verdict_refused;
}
