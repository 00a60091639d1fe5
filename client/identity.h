/* What is made once for a message and then never changes: its id and its time. */
#ifndef TWINSPOOL_IDENTITY_H
#define TWINSPOOL_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TWINSPOOL_TIME_SIZE 32

/* Version 4 (RFC 9562) of 16 random bytes. */
void uuid_text(const unsigned char random[16], char text[37]);
/* RFC 3339 in UTC with milliseconds; "" for a year that has not four digits. */
void time_text(int64_t unix_ms, char text[TWINSPOOL_TIME_SIZE]);
void time_text_now(char text[TWINSPOOL_TIME_SIZE]);

#ifdef __cplusplus
}
#endif

#endif
