#include "request.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char kApiVersion[] = "2023-10-31";

/* A line break in a header would begin another one; the daemon takes no other control character either. */
static bool has_control(const char* text) {
  for (; text != NULL && *text != '\0'; ++text) {
    if ((unsigned char)*text < 0x20 || *text == 0x7F) return true;
  }
  return false;
}

static const char* head_fault(const twinspool_message* message) {
  if (message->twin == NULL || message->twin[0] == '\0') return "the twin's id is empty, a name is accepted";
  if (has_control(message->twin)) return "the twin's id has a control character";
  if (message->component != NULL && message->component[0] == '\0') {
    return "the component is empty, a name or NULL is accepted";
  }
  if (has_control(message->component)) return "the component has a control character";
  if (message->id != NULL && message->id[0] == '\0') return "the Message-Id is empty, a text or NULL is accepted";
  if (has_control(message->id)) return "the Message-Id has a control character";
  if (has_control(message->source_time)) return "the source time has a control character";
  if (has_control(message->traceparent)) return "traceparent has a control character";
  if (has_control(message->tracestate)) return "tracestate has a control character";
  return NULL;
}

const char* message_fault(const twinspool_message* message) {
  const char* fault = head_fault(message);
  if (fault != NULL) return fault;
  if (message->body == NULL || message->body_bytes == 0) return "the body is empty, a JSON object is accepted";
  if (message->body_bytes > TWINSPOOL_BODY_BYTES_MAX) return "the body is larger than 32768 bytes";
  return NULL;
}

const char* batch_line_fault(const twinspool_message* message) {
  const char* fault = message_fault(message);
  if (fault != NULL) return fault;
  if (memchr(message->body, '\n', message->body_bytes) != NULL ||
      memchr(message->body, '\r', message->body_bytes) != NULL) {
    return "the body has a line break, which a batch cannot carry: leave it out, or send the message singly";
  }
  return NULL;
}

/* As encodeURIComponent does, and as the daemon does with the twins of a batch: both ways lead to the same lane. */
static bool is_unreserved(unsigned char c) {
  if (c != '\0' && strchr("!*'()", c) != NULL) return true;
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

static void add_percent_encoded(struct buffer* out, const char* text) {
  for (; *text != '\0'; ++text) {
    if (is_unreserved((unsigned char)*text)) {
      buffer_add(out, text, 1);
    } else {
      char encoded[4];
      (void)snprintf(encoded, sizeof encoded, "%%%02X", (unsigned)(unsigned char)*text);
      buffer_add(out, encoded, 3);
    }
  }
}

static void add_header(struct buffer* out, const char* name, const char* value) {
  if (value == NULL || value[0] == '\0') return;
  buffer_add_text(out, name);
  buffer_add_text(out, ": ");
  buffer_add_text(out, value);
  buffer_add_text(out, "\r\n");
}

static void add_length(struct buffer* out, size_t bytes) {
  buffer_add_text(out, "Content-Length: ");
  buffer_add_number(out, bytes);
  buffer_add_text(out, "\r\n\r\n");
}

void render_message(struct buffer* request, const twinspool_message* message) {
  buffer_add_text(request, "POST /digitaltwins/");
  add_percent_encoded(request, message->twin);
  if (message->component != NULL) {
    buffer_add_text(request, "/components/");
    add_percent_encoded(request, message->component);
  }
  buffer_add_text(request, "/telemetry?api-version=");
  buffer_add_text(request, kApiVersion);
  buffer_add_text(request, " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
  add_header(request, "Message-Id", message->id);
  add_header(request, "Telemetry-Source-Time", message->source_time);
  add_header(request, "traceparent", message->traceparent);
  add_header(request, "tracestate", message->tracestate);
  add_length(request, message->body_bytes);
  buffer_add(request, message->body, message->body_bytes);
}

/* Control characters were refused before: a quote and a backslash are what is left to escape. */
static void add_member(struct buffer* out, const char* name, const char* value) {
  if (value == NULL || value[0] == '\0') return;
  buffer_add_text(out, "\"");
  buffer_add_text(out, name);
  buffer_add_text(out, "\":\"");
  for (; *value != '\0'; ++value) {
    if (*value == '"' || *value == '\\') buffer_add_text(out, "\\");
    buffer_add(out, value, 1);
  }
  buffer_add_text(out, "\",");
}

void render_batch_line(struct buffer* lines, const twinspool_message* message) {
  buffer_add_text(lines, "{");
  add_member(lines, "twin", message->twin);
  add_member(lines, "component", message->component);
  add_member(lines, "messageId", message->id);
  add_member(lines, "sourceTime", message->source_time);
  add_member(lines, "traceparent", message->traceparent);
  add_member(lines, "tracestate", message->tracestate);
  buffer_add_text(lines, "\"telemetry\":");
  buffer_add(lines, message->body, message->body_bytes);
  buffer_add_text(lines, "}");
}

size_t render_batch_head(char room[TWINSPOOL_BATCH_HEAD_ROOM], size_t lines_bytes) {
  char head[TWINSPOOL_BATCH_HEAD_ROOM];
  const int length = snprintf(head, sizeof head,
                              "POST /telemetry:batch?api-version=%s HTTP/1.1\r\nHost: localhost\r\n"
                              "Content-Type: application/x-ndjson\r\nContent-Length: %zu\r\n\r\n",
                              kApiVersion, lines_bytes);
  const size_t start = TWINSPOOL_BATCH_HEAD_ROOM - (size_t)length;
  memcpy(room + start, head, (size_t)length);
  return start;
}
