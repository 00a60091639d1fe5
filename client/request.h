/* A message, or a batch of them, as the bytes of one HTTP request. Pure. */
#ifndef TWINSPOOL_REQUEST_H
#define TWINSPOOL_REQUEST_H

#include "buffer.h"
#include "twinspool/client.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NULL: the message can be sent; else what is wrong with it, for people. */
const char* message_fault(const twinspool_message* message);
const char* batch_line_fault(const twinspool_message* message);

/* Append the whole request. id and source_time stand in the message; "" is no source time. */
void render_message(struct buffer* request, const twinspool_message* message);
/* Appends one line of a batch, without the line break. */
void render_batch_line(struct buffer* lines, const twinspool_message* message);

/* The head of a batch is known last, because it says how long the lines are: it is written into the room left for it,
 * up to its end. Returns where in the room it begins. */
#define TWINSPOOL_BATCH_HEAD_ROOM 192
size_t render_batch_head(char room[TWINSPOOL_BATCH_HEAD_ROOM], size_t lines_bytes);

#ifdef __cplusplus
}
#endif

#endif
