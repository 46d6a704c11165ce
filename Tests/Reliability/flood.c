// A caller who sends the same bytes again and again on new connections, as cheaply as it can.
//   flood PORT SECONDS WAIT < BYTES
// WAIT: 0 resets the connection at once, 1 waits for the first byte of an answer or its end, 2 ends
// its sending side and waits for the end. Prints: connections, CPU time in microseconds.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  static char bytes[1 << 20], answer[1 << 16];
  size_t count = fread(bytes, 1, sizeof bytes, stdin);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  double end = now() + atof(argv[2]);
  int wait = atoi(argv[3]);
  long connections = 0;
  while (now() < end) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct linger reset = {1, 0};
    struct timeval bound = {5, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
      if (count > 0) send(fd, bytes, count, MSG_NOSIGNAL);
      if (wait == 2) shutdown(fd, SHUT_WR);
      if (wait > 0)
        while (recv(fd, answer, sizeof answer, 0) > 0 && wait == 2) continue;
      connections += 1;
    }
    close(fd);
  }
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  printf("%ld %ld\n", connections,
         (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000L + used.ru_utime.tv_usec +
             used.ru_stime.tv_usec);
  return 0;
}
