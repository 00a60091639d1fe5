#include "buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t kFirstCapacity = 1024;

void buffer_clear(struct buffer* buffer) {
  buffer->size = 0;
  buffer->failed = false;
}

void buffer_free(struct buffer* buffer) {
  free(buffer->bytes);
  *buffer = (struct buffer){0};
}

static bool grow(struct buffer* buffer, size_t more) {
  size_t capacity = buffer->capacity > 0 ? buffer->capacity : kFirstCapacity;
  while (capacity - buffer->size < more) {
    if (capacity > (size_t)-1 / 2) return false;
    capacity *= 2;
  }
  char* bytes = realloc(buffer->bytes, capacity);
  if (bytes == NULL) return false;
  buffer->bytes = bytes;
  buffer->capacity = capacity;
  return true;
}

void buffer_add(struct buffer* buffer, const void* bytes, size_t size) {
  if (buffer->failed || size == 0) return;
  if (buffer->capacity - buffer->size < size && !grow(buffer, size)) {
    buffer->failed = true;
    return;
  }
  memcpy(buffer->bytes + buffer->size, bytes, size);
  buffer->size += size;
}

void buffer_add_text(struct buffer* buffer, const char* text) { buffer_add(buffer, text, strlen(text)); }

void buffer_add_number(struct buffer* buffer, size_t number) {
  char text[24];
  const int length = snprintf(text, sizeof text, "%zu", number);
  buffer_add(buffer, text, (size_t)length);
}
