#include "identity.h"

#include <stdio.h>
#include <time.h>

void uuid_text(const unsigned char random[16], char text[37]) {
  static const char digits[] = "0123456789abcdef";
  char* out = text;
  for (int i = 0; i < 16; ++i) {
    unsigned byte = random[i];
    if (i == 6) byte = (byte & 0x0FU) | 0x40U; /* version 4 */
    if (i == 8) byte = (byte & 0x3FU) | 0x80U; /* variant of RFC 9562 */
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 0x0FU];
  }
  *out = '\0';
}

void time_text(int64_t unix_ms, char text[TWINSPOOL_TIME_SIZE]) {
  int64_t seconds = unix_ms / 1000;
  int64_t milliseconds = unix_ms % 1000;
  if (milliseconds < 0) {
    milliseconds += 1000;
    --seconds;
  }
  const time_t when = (time_t)seconds;
  struct tm utc;
  text[0] = '\0';
  if (gmtime_r(&when, &utc) == NULL || utc.tm_year < -1900 || utc.tm_year > 9999 - 1900) return;
  const size_t length = strftime(text, TWINSPOOL_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
  (void)snprintf(text + length, TWINSPOOL_TIME_SIZE - length, ".%03dZ", (int)milliseconds);
}

void time_text_now(char text[TWINSPOOL_TIME_SIZE]) {
  struct timespec now;
  (void)clock_gettime(CLOCK_REALTIME, &now);
  time_text((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, text);
}
