// Callers who each make one request a connection, again and again, and look at the answer whole.
//   callers PORT PROCESSES KEEP < REQUEST
// KEEP 0: a connection a request (REQUEST should say Connection: close); 1: as many requests as the
// gateway allows, and a new connection after an answer with Connection: close. Runs until SIGTERM;
// then prints: answered, refused, reset, cut short, other status, too late (10 s), and the longest
// time of one request in milliseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ANSWERED, REFUSED, RESET, SHORT, STATUS, LATE, KINDS };

static struct {
  _Atomic long count[KINDS];
  _Atomic long longest;
  _Atomic int done;
} *shared;

static char request[1 << 16];
static size_t request_count;

static long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void stop(int number) {
  (void)number;
  shared->done = 1;
}

static int failed(void) { return errno == EAGAIN || errno == EWOULDBLOCK ? LATE : RESET; }

// Reads one answer; its kind, and whether the connection may be kept.
static int answer(int fd, int *kept) {
  static char head[1 << 16];
  size_t have = 0;
  char *end = 0;
  while (!end) {
    if (have == sizeof head - 1) return SHORT;
    ssize_t got = recv(fd, head + have, sizeof head - 1 - have, 0);
    if (got < 0) return failed();
    if (got == 0) return have == 0 ? RESET : SHORT;
    have += (size_t)got;
    head[have] = 0;
    end = strstr(head, "\r\n\r\n");
  }
  if (strncmp(head, "HTTP/1.1 200", 12) != 0) return STATUS;
  const char *length = strcasestr(head, "\r\ncontent-length:");
  if (!length || length > end) return SHORT;
  size_t whole = (size_t)(end + 4 - head) + strtoul(length + 17, 0, 10);
  const char *closing = strcasestr(head, "\r\nconnection: close");
  *kept = !(closing && closing < end);
  while (have < whole) {
    char more[1 << 14];
    size_t room = whole - have < sizeof more ? whole - have : sizeof more;
    ssize_t got = recv(fd, more, room, 0);
    if (got < 0) return failed();
    if (got == 0) return SHORT;
    have += (size_t)got;
  }
  return ANSWERED;
}

static void call(int port, int keep) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = -1;
  while (!shared->done) {
    long began = now_ms();
    if (fd < 0) {
      fd = socket(AF_INET, SOCK_STREAM, 0);
      struct timeval bound = {10, 0};
      int one = 1;
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        shared->count[errno == ECONNREFUSED ? REFUSED : failed()] += 1;
        close(fd);
        fd = -1;
        continue;
      }
    }
    int kept = 0, kind = RESET;
    if (send(fd, request, request_count, MSG_NOSIGNAL) == (ssize_t)request_count)
      kind = answer(fd, &kept);
    shared->count[kind] += 1;
    long took = now_ms() - began, longest = shared->longest;
    while (took > longest && !atomic_compare_exchange_weak(&shared->longest, &longest, took)) {
    }
    if (kind != ANSWERED || !kept || !keep) {
      close(fd);
      fd = -1;
    }
  }
  if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  request_count = fread(request, 1, sizeof request, stdin);
  shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, 0);
  int processes = atoi(argv[2]);
  for (int i = 0; i < processes; i++) {
    if (fork() == 0) {
      call(atoi(argv[1]), atoi(argv[3]));
      _exit(0);
    }
  }
  while (wait(0) > 0 || errno == EINTR) continue;
  for (int i = 0; i < KINDS; i++) printf("%ld ", shared->count[i]);
  printf("%ld\n", shared->longest);
  return 0;
}
