/* Reads one JSON object a line from standard input and sends each as telemetry of a twin, in order:
 *
 *   cc -o send send.c $(pkg-config --cflags --libs twinspool-client)
 *   echo '{"temperature": 21.5}' | ./send pump-1
 *
 * It waits for a daemon that is not there or says "later", and says so once a minute. What the daemon refuses for good
 * is reported and skipped, because it would be refused again. */
#include <stdio.h>
#include <string.h>
#include <twinspool/client.h>

static int send_line(twinspool_client* client, const char* twin, const char* line, size_t length) {
  int status = twinspool_send(client, twin, line, length, 60000);
  while (status == TWINSPOOL_TIMED_OUT || status == TWINSPOOL_NOT_PERMITTED) {
    fprintf(stderr, "send: still trying: %s\n", twinspool_text(client));
    if (status == TWINSPOOL_NOT_PERMITTED) return status; /* waiting alone will not help */
    status = twinspool_resume(client, 60000);
  }
  return status;
}

int main(int argc, char** argv) {
  static char line[TWINSPOOL_BODY_BYTES_MAX + 2];
  twinspool_client* client = NULL;
  int failed = 0;
  if (argc != 2 && argc != 3) {
    fprintf(stderr, "usage: send TWIN [SOCKET]\n");
    return 2;
  }
  if (twinspool_open(&client, argc == 3 ? argv[2] : NULL) != TWINSPOOL_OK) {
    fprintf(stderr, "send: the path of the socket is too long, or there is no memory\n");
    return 1;
  }
  while (fgets(line, sizeof line, stdin) != NULL) {
    const size_t length = strcspn(line, "\n");
    const int status = send_line(client, argv[1], line, length);
    if (status == TWINSPOOL_OK) {
      printf("%llu %s\n", (unsigned long long)twinspool_sequence(client), twinspool_id(client));
    } else {
      fprintf(stderr, "send: %s\n", twinspool_text(client));
      failed = 1;
      if (status != TWINSPOOL_REFUSED && status != TWINSPOOL_INVALID_ARGUMENT) break;
    }
  }
  twinspool_close(client);
  return failed;
}
