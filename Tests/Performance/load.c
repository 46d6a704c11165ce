// A closed-loop HTTP/1.1 client over keep-alive connections, for measuring what a proxy costs.
//
//   load requests PORT SECONDS CONNECTIONS TOKENS|- PATH tls|clear
//     Opens the connections, makes one request on each, prints "ready" and waits for a line on
//     standard input; then keeps exactly one request in flight on each connection for SECONDS.
//     TOKENS is a file with one bearer token a line: request n bears token n mod lines.
//   load idle PORT CONNECTIONS PATH tls|clear
//     Opens the connections with one request on each, prints "ready" and how many, and holds them
//     until standard input ends; then says how many were still open.
//   load speed
//     How many rounds of a fixed mix of work this core does in a second just now.
//
// Results are one JSON object on standard output. Everything goes to 127.0.0.1.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
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

enum { SIZE_OF_READ = 65536, HEAD_MAX = 8192, LATENCIES_MAX = 4 << 20 };

typedef struct {
  int fd, closed, done_first;
  SSL *tls;
  const char *out;      // what is still to be written of the request
  size_t out_left;
  char head[HEAD_MAX];  // of the answer, as far as it came
  size_t head_size;
  int64_t body_left;    // -1 while the head is incomplete
  int status;
  uint64_t sent_at;
} Connection;

static SSL_CTX *context;
static int queue, port, stopping;
static char **requests;
static size_t request_count, next_request;
static uint64_t done, bad, lost;
static uint32_t *latencies;
static size_t latency_count;

static void fail(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  ERR_print_errors_fp(stderr);
  exit(1);
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void make_requests(const char *tokens, const char *path) {
  char text[16384];
  if (!strcmp(tokens, "-")) {
    requests = malloc(sizeof *requests);
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    requests[request_count++] = strdup(text);
    return;
  }
  FILE *file = fopen(tokens, "r");
  if (!file) fail(tokens);
  char *line = NULL;
  size_t room = 0;
  for (ssize_t size; (size = getline(&line, &room, file)) > 1;) {
    line[strcspn(line, "\n")] = 0;
    snprintf(text, sizeof text,
             "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", path, line);
    requests = realloc(requests, (request_count + 1) * sizeof *requests);
    requests[request_count++] = strdup(text);
  }
  free(line);
  fclose(file);
  if (!request_count) fail("no tokens");
}

static ssize_t receive(Connection *c, char *into, size_t size) {
  if (!c->tls) {
    ssize_t count = read(c->fd, into, size);
    return count < 0 && errno == EAGAIN ? -1 : count < 0 ? -2 : count;
  }
  ERR_clear_error();
  int count = SSL_read(c->tls, into, (int)size);
  if (count > 0) return count;
  int error = SSL_get_error(c->tls, count);
  return error == SSL_ERROR_WANT_READ ? -1 : error == SSL_ERROR_ZERO_RETURN ? 0 : -2;
}

static void flush_request(Connection *c) {
  while (c->out_left) {
    ssize_t count;
    if (c->tls) {
      ERR_clear_error();
      count = SSL_write(c->tls, c->out, (int)c->out_left);
    } else {
      count = write(c->fd, c->out, c->out_left);
    }
    if (count <= 0) return;  // the next event tries again, and a dead connection shows in the read
    c->out += count;
    c->out_left -= (size_t)count;
  }
}

static void start_request(Connection *c) {
  c->out = requests[next_request++ % request_count];
  c->out_left = strlen(c->out);
  c->head_size = 0;
  c->body_left = -1;
  c->sent_at = now();
  flush_request(c);
}

static void lose(Connection *c) {
  if (c->closed) return;
  c->closed = 1;
  lost++;
  epoll_ctl(queue, EPOLL_CTL_DEL, c->fd, NULL);
}

/// Takes bytes of an answer; true when it is whole. It must have a Content-Length.
static int take(Connection *c, const char *bytes, size_t size) {
  if (c->body_left < 0) {
    size_t room = HEAD_MAX - 1 - c->head_size, part = size < room ? size : room;
    memcpy(c->head + c->head_size, bytes, part);
    size_t before = c->head_size;
    c->head_size += part;
    c->head[c->head_size] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) {
      if (part == room) lose(c);
      return 0;
    }
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->status = atoi(c->head + 9);
    c->body_left = length && length < end ? atoll(length + 17) : 0;
    size -= (size_t)(end + 4 - c->head) - before;
  }
  c->body_left -= (int64_t)size;
  return c->body_left <= 0;
}

static void on_event(Connection *c, int closed_loop) {
  static char bytes[SIZE_OF_READ];
  flush_request(c);
  for (;;) {
    ssize_t count = receive(c, bytes, sizeof bytes);
    if (count == -1) return;
    if (count <= 0) return lose(c);
    if (!take(c, bytes, (size_t)count)) {
      if (!c->tls && (size_t)count < sizeof bytes) return;
      continue;
    }
    if (c->status != 200) bad++;
    if (!c->done_first) {
      c->done_first = 1;
      return;
    }
    done++;
    if (latency_count < LATENCIES_MAX)
      latencies[latency_count++] = (uint32_t)((now() - c->sent_at) / 1000);
    if (!closed_loop || stopping) return;
    start_request(c);
    if (!c->tls) return;
  }
}

static void open_connection(Connection *c, int with_tls) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int yes = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (with_tls) {
    c->tls = SSL_new(context);
    SSL_set_fd(c->tls, c->fd);
    SSL_set_tlsext_host_name(c->tls, "localhost");
    if (SSL_connect(c->tls) != 1) fail("handshake");
  }
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  // Edge-triggered: the request is written at once, so only answers wake us.
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = c};
  if (epoll_ctl(queue, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl");
}

static void run_until(uint64_t end, size_t first_answers, Connection *all, size_t count) {
  struct epoll_event events[256];
  for (size_t answered = 0; answered < first_answers || !first_answers;) {
    if (!first_answers && now() >= end) return;
    int ready = epoll_wait(queue, events, 256, 50);
    for (int i = 0; i < ready; i++) on_event(events[i].data.ptr, !first_answers);
    if (first_answers) {
      answered = 0;
      for (size_t i = 0; i < count; i++) answered += (size_t)(all[i].done_first || all[i].closed);
      if (now() >= end) errno = ETIMEDOUT, fail("first answers");
    }
    if (lost == count) return;
  }
}

static Connection *open_all(size_t count, int with_tls, const char *path, const char *tokens) {
  queue = epoll_create1(EPOLL_CLOEXEC);
  latencies = malloc(LATENCIES_MAX * sizeof *latencies);
  Connection *all = calloc(count, sizeof *all);
  if (!all || !latencies) fail("memory");
  make_requests(tokens, path);
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
  for (size_t i = 0; i < count; i++) {
    open_connection(&all[i], with_tls);
    start_request(&all[i]);
    // A few at a time, so that the listener's queue holds them all.
    if (i % 64 == 63) run_until(now() + 20000000000u, i + 1, all, i + 1);
  }
  run_until(now() + 20000000000u, count, all, count);
  return all;
}

static int by_size(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static double quantile(double part) {
  if (!latency_count) return 0;
  size_t index = (size_t)(part * (double)(latency_count - 1));
  return latencies[index] / 1000.0;
}

static void wait_for_line(void) {
  char c;
  while (read(0, &c, 1) == 1 && c != '\n') {}
}

static int requests_mode(char **argv) {
  port = atoi(argv[2]);
  double seconds = atof(argv[3]);
  size_t count = (size_t)atol(argv[4]);
  Connection *all = open_all(count, !strcmp(argv[7], "tls"), argv[6], argv[5]);
  printf("ready\n");
  fflush(stdout);
  wait_for_line();
  bad = 0;
  uint64_t start = now();
  for (size_t i = 0; i < count; i++)
    if (!all[i].closed) start_request(&all[i]);
  run_until(start + (uint64_t)(seconds * 1e9), 0, all, count);
  stopping = 1;
  double took = (double)(now() - start) / 1e9;
  qsort(latencies, latency_count, sizeof *latencies, by_size);
  printf("{\"done\":%llu,\"bad\":%llu,\"lost\":%llu,\"seconds\":%.4f,\"p50\":%.3f,\"p99\":%.3f}\n",
         (unsigned long long)done, (unsigned long long)bad, (unsigned long long)lost, took,
         quantile(.5), quantile(.99));
  return 0;
}

static int idle_mode(char **argv) {
  port = atoi(argv[2]);
  size_t count = (size_t)atol(argv[3]);
  Connection *all = open_all(count, !strcmp(argv[5], "tls"), argv[4], "-");
  printf("ready %llu\n", (unsigned long long)(count - lost));
  fflush(stdout);
  wait_for_line();
  size_t open = 0;
  for (size_t i = 0; i < count; i++) {
    struct pollfd probe = {.fd = all[i].fd, .events = POLLRDHUP};
    if (!all[i].closed && poll(&probe, 1, 0) == 0) open++;
  }
  printf("{\"open\":%zu,\"bad\":%llu}\n", open, (unsigned long long)bad);
  return 0;
}

static int speed_mode(void) {
  unsigned char bytes[1024] = {1}, digest[32];
  unsigned size;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) fail("socketpair");
  EVP_MD *sha = EVP_MD_fetch(NULL, "SHA256", NULL);
  EVP_MD_CTX *m = EVP_MD_CTX_new();
  uint64_t start = now(), rounds = 0;
  while (now() - start < 50000000u) {
    for (int i = 0; i < 32; i++, rounds++) {
      EVP_DigestInit_ex(m, sha, NULL);
      EVP_DigestUpdate(m, bytes, sizeof bytes);
      EVP_DigestFinal_ex(m, digest, &size);
      memcpy(bytes, digest, sizeof digest);
      if (write(pair[0], bytes, sizeof bytes) != sizeof bytes) fail("write");
      if (read(pair[1], bytes, sizeof bytes) != sizeof bytes) fail("read");
    }
  }
  printf("{\"per_second\":%.1f}\n", (double)rounds * 1e9 / (double)(now() - start));
  return 0;
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 8 && !strcmp(argv[1], "requests")) return requests_mode(argv);
  if (argc == 6 && !strcmp(argv[1], "idle")) return idle_mode(argv);
  if (argc == 2 && !strcmp(argv[1], "speed")) return speed_mode();
  fprintf(stderr, "usage: load requests|idle|speed ...: the head of load.c says how\n");
  return 2;
}
