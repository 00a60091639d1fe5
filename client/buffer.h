/* Bytes that grow. After a failed growth everything further is dropped and `failed` stays set: checked once, at the
 * end. */
#ifndef TWINSPOOL_BUFFER_H
#define TWINSPOOL_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct buffer {
  char* bytes;
  size_t size;
  size_t capacity;
  bool failed;
};

void buffer_clear(struct buffer* buffer); /* keeps the memory */
void buffer_free(struct buffer* buffer);
void buffer_add(struct buffer* buffer, const void* bytes, size_t size);
void buffer_add_text(struct buffer* buffer, const char* text);
void buffer_add_number(struct buffer* buffer, size_t number);

#ifdef __cplusplus
}
#endif

#endif
