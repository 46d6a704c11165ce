// Callers who come at a rate of their own, whether or not those before were answered.
//
//   open_loop PORT RATE SECONDS CONNECTIONS REQUESTS KNOWN EVERY FIRST DEADLINE_MS WAIT_MS
//     REQUESTS is a file with one bearer token a line. The first KNOWN of them are used in turn;
//     each EVERYth request (0: none) has one of the others instead, from number FIRST on, each
//     once where there are enough. A request is sent on a free one of CONNECTIONS; while there is
//     none it waits, and what it waits counts; after WAIT_MS the caller gives up, as those do who
//     can't connect. RATE 0: one is always under way on each. Before all that, each connection has
//     had one answer: to accept them is no part of what is measured, which begins with "warm".
//
// Arrivals are those of a Poisson process. An answer is good if it is 200 within the deadline,
// counted from when the request should have been sent. The result is one JSON object; of its times
// p50 and p99 are counted so, too, and sent_p99 from when it was sent.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 16384, WAITING_MAX = 1 << 20, LATENCIES_MAX = 4 << 20 };

typedef struct {
  int fd;
  double due, sent;
  size_t size;
  char in[ROOM];
} Connection;

static int queue, port;
static Connection *all, **idle;
static size_t idle_count;
static char **requests;
static size_t *sizes, request_count, known_count, known_next, fresh_next, every, sent;
static double waiting[WAITING_MAX], deadline, patience;
static size_t waiting_first, waiting_count;
static uint64_t good, late, shed, refused, other, given_up, reconnects;
static float *latencies, *since_sent;
static size_t latency_count;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_requests(const char *name) {
  FILE *file = fopen(name, "r");
  char *line = NULL, text[ROOM];
  size_t room = 0;
  if (!file) fail(name);
  for (ssize_t size; (size = getline(&line, &room, file)) > 1;) {
    line[strcspn(line, "\n")] = 0;
    const char *form = "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n";
    int count = snprintf(text, sizeof text, form, line);
    requests = realloc(requests, (request_count + 1) * sizeof *requests);
    sizes = realloc(sizes, (request_count + 1) * sizeof *sizes);
    sizes[request_count] = (size_t)count;
    requests[request_count++] = strdup(text);
  }
  free(line);
  fclose(file);
}

static void connect_to(Connection *c) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
  int yes = 1;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  c->size = 0;
  if (epoll_ctl(queue, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl");
}

static void send_on(Connection *c, double due, double at) {
  size_t which;
  sent++;
  if (every && sent % every == 0) {
    which = known_count + fresh_next++ % (request_count - known_count);
  } else {
    which = known_next++ % known_count;
  }
  c->due = due;
  c->sent = at;
  c->size = 0;
  // Less than a socket's buffer holds: it is taken whole.
  if (write(c->fd, requests[which], sizes[which]) != (ssize_t)sizes[which]) other++;
}

/// Whether the answer is whole; then what it was is counted.
static int is_whole(Connection *c, double at) {
  c->in[c->size] = 0;
  char *end = strstr(c->in, "\r\n\r\n");
  if (!end) return 0;
  char *length = strcasestr(c->in, "\r\ncontent-length:");
  size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
  if (c->size < (size_t)(end + 4 - c->in) + body) return 0;
  int status = atoi(c->in + 9);
  if (status == 200) {
    if (at - c->due <= deadline) good++;
    else late++;
    if (latency_count < LATENCIES_MAX) {
      since_sent[latency_count] = (float)(at - c->sent);
      latencies[latency_count++] = (float)(at - c->due);
    }
  } else if (status == 503) {
    shed++;
  } else if (status == 401) {
    refused++;
  } else {
    other++;
  }
  return 1;
}

static void next_on(Connection *c, double at, int is_closed) {
  if (is_closed) {
    send_on(c, at, at);
    return;
  }
  while (waiting_count) {
    double due = waiting[waiting_first];
    waiting_first = (waiting_first + 1) % WAITING_MAX;
    waiting_count--;
    if (at - due <= patience) {
      send_on(c, due, at);
      return;
    }
    given_up++;
  }
  idle[idle_count++] = c;
}

/// Has one answered on each connection, and forgets them.
static void warm_up(size_t count) {
  size_t waited = count;
  for (size_t i = 0; i < count; i++) {
    const size_t which = i % known_count;
    all[i].size = 0;
    if (write(all[i].fd, requests[which], sizes[which]) != (ssize_t)sizes[which]) fail("write");
  }
  while (waited) {
    struct epoll_event events[512];
    int ready = epoll_wait(queue, events, 512, 30000);
    if (ready <= 0) fail("a connection had no answer");
    for (int i = 0; i < ready; i++) {
      Connection *c = events[i].data.ptr;
      ssize_t got = read(c->fd, c->in + c->size, ROOM - 1 - c->size);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) fail("a connection was closed");
      c->size += (size_t)got;
      if (is_whole(c, now())) waited--;
    }
  }
  good = late = shed = refused = other = 0;
  latency_count = 0;
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

static double quantile(const float *sorted, double part) {
  if (!latency_count) return 0;
  return 1000.0 * (double)sorted[(size_t)(part * (double)(latency_count - 1))];
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc != 11) return fprintf(stderr, "the head of open_loop.c says how\n"), 2;
  port = atoi(argv[1]);
  double rate = atof(argv[2]), seconds = atof(argv[3]);
  size_t count = strtoul(argv[4], NULL, 10);
  read_requests(argv[5]);
  known_count = strtoul(argv[6], NULL, 10);
  every = strtoul(argv[7], NULL, 10);
  fresh_next = strtoul(argv[8], NULL, 10);
  deadline = atof(argv[9]) / 1000;
  patience = atof(argv[10]) / 1000;
  if (known_count > request_count || (every && known_count == request_count)) return 2;
  int is_closed = rate == 0;
  queue = epoll_create1(EPOLL_CLOEXEC);
  all = calloc(count, sizeof *all);
  idle = calloc(count, sizeof *idle);
  latencies = malloc(LATENCIES_MAX * sizeof *latencies);
  since_sent = malloc(LATENCIES_MAX * sizeof *since_sent);
  for (size_t i = 0; i < count; i++) {
    connect_to(&all[i]);
    idle[idle_count++] = &all[i];
  }
  warm_up(count);
  puts("warm");
  fflush(stdout);
  srand48(1);
  double start = now(), next = start, end = start + seconds;
  uint64_t offered = 0;
  if (is_closed) {
    while (idle_count) send_on(idle[--idle_count], now(), now());
  }
  struct epoll_event events[512];
  for (double at = start; at < end; at = now()) {
    while (!is_closed && next <= at) {
      offered++;
      if (idle_count) {
        send_on(idle[--idle_count], next, at);
      } else if (waiting_count < WAITING_MAX) {
        waiting[(waiting_first + waiting_count++) % WAITING_MAX] = next;
      } else {
        given_up++;
      }
      next += -log(1 - drand48()) / rate;
    }
    double sleep = is_closed ? 0.01 : next - now();
    int ready = epoll_wait(queue, events, 512, sleep > 0.001 ? (int)(sleep * 1000) : 0);
    for (int i = 0; i < ready; i++) {
      Connection *c = events[i].data.ptr;
      ssize_t got = read(c->fd, c->in + c->size, ROOM - 1 - c->size);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) {
        close(c->fd);
        reconnects++;
        connect_to(c);
        next_on(c, now(), is_closed);
        continue;
      }
      c->size += (size_t)got;
      double then = now();
      if (is_whole(c, then)) next_on(c, then, is_closed);
    }
  }
  double took = now() - start;
  qsort(latencies, latency_count, sizeof *latencies, by_size);
  qsort(since_sent, latency_count, sizeof *since_sent, by_size);
  printf("{\"offered\":%.1f,\"good\":%.1f,\"late\":%llu,\"shed\":%llu,\"refused\":%llu,"
         "\"other\":%llu,\"given_up\":%llu,\"unsent\":%zu,\"reconnects\":%llu,\"fresh\":%zu,"
         "\"p50\":%.2f,\"p99\":%.2f,\"sent_p99\":%.2f}\n",
         (double)(is_closed ? sent : offered) / took, (double)good / took,
         (unsigned long long)late, (unsigned long long)shed, (unsigned long long)refused,
         (unsigned long long)other, (unsigned long long)given_up, waiting_count,
         (unsigned long long)reconnects, fresh_next, quantile(latencies, .5),
         quantile(latencies, .99), quantile(since_sent, .99));
  return 0;
}
