// Callers who know whose answer they must get, and a judge of what a service was sent.
//
//   oracle ask PORTS REQUESTS CONNECTIONS ABORTS SEED TOKENS KEY ISSUER STEP
//     PORTS: ports of 127.0.0.1, joined by commas; a `t` before one means TLS. TOKENS: a file of
//     lines `PERSON TOKEN`; PERSON `-`: a forged token, to be refused with 401. ABORTS: of a
//     thousand batches of requests, so many are left in the middle. KEY: the PEM file of the token
//     service's public key (ES256), and ISSUER its name. After each STEP requests it says `at N`.
//   oracle judge PIPE KEY ISSUER
//     In PIPE come lines `SERVICE URI NONCE AUTHORIZATION`: what the services were sent.
//
// Requests go to /ROUTE/PERSON/NONCE with X-Nonce: NONCE, and what comes back must be
// `SERVICE NONCE URI AUTHORIZATION`: an echo of what the service was sent. The answer is right if
// it is that of this request, and the token a valid one of the token service, for that service and
// that person. Results are one JSON object at the end; the first mismatches go to standard error.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
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

enum {
  NAME_MAX_SIZE = 64, TOKEN_MAX = 8192, BATCH_MAX = 4, BODY_MAX = 8192,
  OUT_SIZE = BATCH_MAX * (TOKEN_MAX + BODY_MAX + 512), IN_SIZE = 65536, KNOWN_BITS = 18
};

static void fail(const char *what) {
  fprintf(stderr, "oracle: %s: %s\n", what, strerror(errno));
  ERR_print_errors_fp(stderr);
  exit(1);
}

// -- tokens

/// What is known of a token that was once seen: each is verified once.
typedef struct {
  char *token;
  int is_valid;  // signed by the token service, and its issuer's
  char subject[NAME_MAX_SIZE], audience[NAME_MAX_SIZE];
} Known;

static Known known[1 << KNOWN_BITS];
static size_t known_count;
static EVP_PKEY *key;
static const char *issuer;

static size_t decode(const char *text, size_t size, unsigned char *into, size_t room) {
  uint32_t bits = 0;
  size_t count = 0, held = 0;
  for (size_t i = 0; i < size; i++) {
    char c = text[i];
    int value = c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26
                : c >= '0' && c <= '9' ? c - '0' + 52 : c == '-' ? 62 : c == '_' ? 63 : -1;
    if (value < 0 || count >= room) return 0;
    bits = bits << 6 | (uint32_t)value;
    held += 6;
    if (held >= 8) into[count++] = (unsigned char)(bits >> (held -= 8));
  }
  return count;
}

/// A member of the outermost object whose value is a text; no text has an escape here.
static int member(const char *json, const char *name, char *into) {
  int depth = 0, wanted = 0;
  into[0] = 0;
  for (const char *p = json; *p; p++) {
    if (*p == '{' || *p == '[') depth++;
    if (*p == '}' || *p == ']') depth--;
    if (*p != '"') continue;
    const char *end = strchr(p + 1, '"');
    if (!end) return 0;
    size_t size = (size_t)(end - p - 1);
    if (wanted) {
      if (size >= NAME_MAX_SIZE) return 0;
      memcpy(into, p + 1, size);
      into[size] = 0;
      return 1;
    }
    wanted = depth == 1 && end[1] == ':' && end[2] == '"' && size == strlen(name) &&
             !memcmp(p + 1, name, size);
    p = end;
  }
  return 0;
}

static int is_signed(const char *token, const char *signature) {
  unsigned char raw[64], *der = NULL;
  if (decode(signature, strlen(signature), raw, sizeof raw) != sizeof raw) return 0;
  ECDSA_SIG *pair = ECDSA_SIG_new();
  ECDSA_SIG_set0(pair, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL));
  int size = i2d_ECDSA_SIG(pair, &der);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int good = EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
             EVP_DigestVerify(context, der, (size_t)size, (const unsigned char *)token,
                              (size_t)(signature - 1 - token)) == 1;
  ERR_clear_error();
  EVP_MD_CTX_free(context);
  OPENSSL_free(der);
  ECDSA_SIG_free(pair);
  return good;
}

static const Known *look(const char *token) {
  uint64_t hash = 1469598103934665603u;
  for (const char *p = token; *p; p++) hash = (hash ^ (unsigned char)*p) * 1099511628211u;
  size_t mask = (1u << KNOWN_BITS) - 1, at = (hash ^ hash >> 32) & mask;
  for (; known[at].token; at = (at + 1) & mask)
    if (!strcmp(known[at].token, token)) return &known[at];
  if (++known_count > mask / 2) fail("too many tokens");
  Known *one = &known[at];
  one->token = strdup(token);
  const char *payload = strchr(token, '.'), *signature = payload ? strchr(payload + 1, '.') : NULL;
  if (!signature) return one;
  static char json[TOKEN_MAX + 1];
  size_t size = (size_t)(signature - payload - 1);
  json[decode(payload + 1, size, (unsigned char *)json, TOKEN_MAX)] = 0;
  char name[NAME_MAX_SIZE];
  one->is_valid = member(json, "iss", name) && !strcmp(name, issuer) &&
                  member(json, "sub", one->subject) && member(json, "aud", one->audience) &&
                  is_signed(token, signature + 1);
  return one;
}

/// What is wrong with an Authorization that a service got for a person, or NULL.
static const char *wrong(const char *authorization, const char *service, const char *person) {
  if (strncmp(authorization, "Bearer ", 7)) return "no bearer token";
  const Known *token = look(authorization + 7);
  if (!token->is_valid) return "no valid token of the token service";
  if (strcmp(token->audience, service)) return "another audience";
  if (strcmp(token->subject, person)) return "another person";
  return NULL;
}

/// The person that a path stands for: its second part, or the gateway itself under /own.
static int person_of(const char *uri, char *person) {
  if (!strncmp(uri, "/own/", 5)) return strcpy(person, "gateway"), 1;
  const char *start = uri[0] == '/' ? strchr(uri + 1, '/') : NULL;
  const char *end = start ? strchr(start + 1, '/') : NULL;
  if (!end || end - start > NAME_MAX_SIZE) return 0;
  memcpy(person, start + 1, (size_t)(end - start - 1));
  person[end - start - 1] = 0;
  return 1;
}

static void load_key(const char *path, const char *name) {
  FILE *file = fopen(path, "r");
  if (!file || !(key = PEM_read_PUBKEY(file, NULL, NULL, NULL))) fail(path);
  fclose(file);
  issuer = name;
}

static uint64_t mismatches;

static void complain(const char *what, const char *asked, const char *got) {
  if (++mismatches > 20) return;
  fprintf(stderr, "oracle: %s\n  asked: %s\n  got: %.1500s\n", what, asked, got);
}

// -- the judge

static int judge(const char *path) {
  FILE *pipe = fopen(path, "r");
  if (!pipe) fail(path);
  char *line = NULL;
  size_t room = 0;
  uint64_t requests = 0;
  for (ssize_t size; (size = getline(&line, &room, pipe)) > 0; requests++) {
    line[strcspn(line, "\n")] = 0;
    char service[NAME_MAX_SIZE], uri[512], person[NAME_MAX_SIZE];
    int at = 0;
    if (sscanf(line, "%63s %511s %*s %n", service, uri, &at) != 2 || !at ||
        !person_of(uri, person)) {
      complain("a line that can't be read", "", line);
      continue;
    }
    const char *problem = wrong(line + at, service, person);
    if (problem) complain(problem, uri, line);
  }
  printf("{\"requests\":%llu,\"mismatches\":%llu,\"tokens\":%zu}\n", (unsigned long long)requests,
         (unsigned long long)mismatches, known_count);
  return 0;
}

// -- the callers

typedef struct {
  char *person, *token;
} Caller;

typedef struct {
  char uri[96];
  uint64_t nonce;
  int is_forged, route;
} Asked;

typedef struct {
  int fd, number;
  SSL *tls;
  char *out, *in;
  size_t out_size, out_at, in_size, taken;
  size_t abort_out, abort_in;  // after so many bytes; SIZE_MAX: not
  Asked asked[BATCH_MAX];
  int asked_count, asked_at, is_idle;
} Connection;

static const char *const routes[] = {"orders", "billing", "swap", "own"};
static Caller *callers;
static size_t caller_count;
static int ports[8], port_count, is_tls[8], queue;
static SSL_CTX *context;
static uint64_t dice_state, wanted, begun, compared, aborted, refused, closed, lost, other, step;
static uint64_t nonces;
static uint64_t statuses[600];
static unsigned aborts;

static uint64_t dice(uint64_t sides) {
  dice_state ^= dice_state << 13;
  dice_state ^= dice_state >> 7;
  dice_state ^= dice_state << 17;
  return (dice_state >> 11) % sides;
}

static void load_callers(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) fail(path);
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, file) > 1) {
    line[strcspn(line, "\n")] = 0;
    char *space = strchr(line, ' ');
    if (!space) fail("a line of the tokens' file");
    *space = 0;
    callers = realloc(callers, (caller_count + 1) * sizeof *callers);
    callers[caller_count++] = (Caller){strdup(line), strdup(space + 1)};
  }
  free(line);
  fclose(file);
  if (!caller_count) fail("no tokens");
}

static void open_connection(Connection *c) {
  int which = c->number % port_count, yes = 1;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ports[which])};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  c->tls = NULL;
  if (is_tls[which]) {
    c->tls = SSL_new(context);
    SSL_set_fd(c->tls, c->fd);
    SSL_set_tlsext_host_name(c->tls, "localhost");
    if (SSL_connect(c->tls) != 1) fail("handshake");
  }
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(queue, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl");
}

static void close_connection(Connection *c, int with_reset) {
  struct linger reset = {1, 0};
  if (with_reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  if (c->tls) {
    ERR_clear_error();
    if (!with_reset && dice(2)) SSL_shutdown(c->tls);
    SSL_free(c->tls);
  }
  close(c->fd);
}

static void write_request(Connection *c, Asked *one) {
  // Not always another one: the requests of one person follow each other on a connection too.
  static size_t last;
  const Caller *caller = &callers[last = dice(4) ? dice(caller_count) : last];
  int route = (int)(dice(10) < 4 ? 0 : dice(6) < 3 ? 1 : dice(3) < 2 ? 2 : 3);
  one->nonce = ++nonces;
  one->is_forged = caller->person[0] == '-';
  one->route = route;
  const char *person = one->is_forged ? "nobody" : caller->person;
  snprintf(one->uri, sizeof one->uri, "/%s/%s/%llu", routes[route], person,
           (unsigned long long)one->nonce);
  size_t body = dice(8) ? 0 : 1 + dice(BODY_MAX);
  int count = snprintf(
      c->out + c->out_size, OUT_SIZE - c->out_size - BODY_MAX,
      "%s %s HTTP/1.1\r\nHost: localhost\r\nX-Nonce: %llu\r\nAuthorization: Bearer %s\r\n",
      body ? "POST" : "GET", one->uri, (unsigned long long)one->nonce, caller->token);
  c->out_size += (size_t)count;
  if (body) {
    c->out_size += (size_t)sprintf(c->out + c->out_size, "Content-Length: %zu\r\n", body);
  }
  c->out_size += (size_t)sprintf(c->out + c->out_size, "\r\n");
  memset(c->out + c->out_size, 'b', body);
  c->out_size += body;
}

/// Sends what is left; false when the caller has left instead.
static int flush_out(Connection *c) {
  size_t end = c->abort_out < c->out_size ? c->abort_out : c->out_size;
  while (c->out_at < end) {
    ssize_t count;
    if (c->tls) {
      ERR_clear_error();
      count = SSL_write(c->tls, c->out + c->out_at, (int)(end - c->out_at));
    } else {
      count = send(c->fd, c->out + c->out_at, end - c->out_at, MSG_NOSIGNAL);
    }
    if (count <= 0) break;  // what is wrong shows in the next read
    c->out_at += (size_t)count;
  }
  struct epoll_event event = {
      .events = EPOLLIN | (c->out_at < end ? (uint32_t)EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(queue, EPOLL_CTL_MOD, c->fd, &event);
  return c->abort_out == SIZE_MAX || c->out_at < end;
}

static void ask(Connection *c);

/// Leaves, whatever is outstanding, and comes back on another connection.
static void leave(Connection *c, uint64_t *counter, int with_reset) {
  *counter += (uint64_t)(c->asked_count - c->asked_at);
  close_connection(c, with_reset);
  open_connection(c);
  ask(c);
}

static void ask(Connection *c) {
  c->out_size = c->out_at = c->in_size = c->taken = 0;
  c->asked_at = c->asked_count = 0;
  c->abort_out = c->abort_in = SIZE_MAX;
  c->is_idle = begun >= wanted;
  if (c->is_idle) return;
  c->asked_count = dice(4) ? 1 : 1 + (int)dice(BATCH_MAX);
  for (int i = 0; i < c->asked_count; i++) write_request(c, &c->asked[i]);
  if (begun / step != (begun + (uint64_t)c->asked_count) / step) {
    printf("at %llu\n", (unsigned long long)begun);
    fflush(stdout);
  }
  begun += (uint64_t)c->asked_count;
  if (dice(1000) < aborts) {
    if (dice(2)) {
      c->abort_out = dice(3) ? c->out_size : 1 + dice(c->out_size);
    } else {
      c->abort_in = 1 + dice(600);
    }
  }
  if (!flush_out(c)) leave(c, &aborted, dice(2) != 0);
}

static void compare(const Asked *asked, int status, const char *body) {
  statuses[status > 0 && status < 600 ? status : 0]++;
  // A public route looks at no token.
  int is_refused = asked->is_forged && asked->route != 3;
  if (is_refused) {
    refused++;
    if (status == 200) complain("a forged token was taken", asked->uri, body);
    if (status != 200 && status != 401) other++;
    return;
  }
  if (status != 200) {
    other++;
    if (status == 401 || status == 403) complain("a good token was refused", asked->uri, body);
    return;
  }
  compared++;
  char service[NAME_MAX_SIZE], uri[512], person[NAME_MAX_SIZE];
  unsigned long long nonce;
  int at = 0;
  if (sscanf(body, "%63s %llu %511s %n", service, &nonce, uri, &at) != 3 || !at) {
    complain("an answer that can't be read", asked->uri, body);
    return;
  }
  const char *route = routes[asked->route], *problem = NULL;
  if (nonce != asked->nonce || strcmp(uri, asked->uri) || !person_of(asked->uri, person)) {
    problem = "another request's answer";
  } else if ((asked->route == 0 || asked->route == 1) && strcmp(service, route)) {
    problem = "another service's answer";
  } else {
    problem = wrong(body + at, service, person);
  }
  if (problem) complain(problem, asked->uri, body);
}

enum Taken { ENDED, GOING_ON, BROKEN };

/// Takes whole answers, and says what becomes of the connection.
static enum Taken take(Connection *c) {
  while (c->asked_at < c->asked_count) {
    char *head = c->in + c->taken, *end = strstr(head, "\r\n\r\n");
    if (!end) return GOING_ON;
    char *length = strcasestr(head, "\r\ncontent-length:");
    if (strncmp(head, "HTTP/1.1 ", 9) || !length || length > end) {
      complain("an answer that is none", c->asked[c->asked_at].uri, head);
      return BROKEN;
    }
    size_t size = (size_t)atoll(length + 17), whole = (size_t)(end + 4 - head) + size;
    if (c->taken + whole > IN_SIZE - 1) {
      complain("an answer that is too long", c->asked[c->asked_at].uri, head);
      return BROKEN;
    }
    if (c->in_size - c->taken < whole) return GOING_ON;
    char *closes = strcasestr(head, "\r\nconnection: close");
    int is_last = closes && closes < end, status = atoi(head + 9);
    char next = end[4 + size];
    end[4 + size] = 0;
    compare(&c->asked[c->asked_at++], status, end + 4);
    end[4 + size] = next;
    c->taken += whole;
    if (is_last) return ENDED;
  }
  if (c->taken < c->in_size) {
    complain("more than was asked for", c->asked[c->asked_count - 1].uri, c->in + c->taken);
    return BROKEN;
  }
  return GOING_ON;
}

static void on_event(Connection *c) {
  if (c->out_at < c->out_size && !flush_out(c)) return leave(c, &aborted, dice(2) != 0);
  for (;;) {
    size_t room = IN_SIZE - 1 - c->in_size;
    if (room > c->abort_in - c->in_size) room = c->abort_in - c->in_size;
    ssize_t count;
    if (c->tls) {
      ERR_clear_error();
      count = SSL_read(c->tls, c->in + c->in_size, (int)room);
      if (count <= 0 && SSL_get_error(c->tls, (int)count) == SSL_ERROR_WANT_READ) return;
    } else {
      count = recv(c->fd, c->in + c->in_size, room, 0);
      if (count < 0 && errno == EAGAIN) return;
    }
    if (count <= 0) return leave(c, &lost, 0);
    c->in_size += (size_t)count;
    c->in[c->in_size] = 0;
    if (c->in_size >= c->abort_in) return leave(c, &aborted, dice(2) != 0);
    enum Taken taken = take(c);
    // An answer may be the last one: to a request that is refused before its content was read.
    if (taken != GOING_ON) return leave(c, taken == ENDED ? &closed : &lost, 0);
    if (c->asked_at == c->asked_count) return ask(c);
  }
}

static int ask_mode(char **argv) {
  for (char *part = strtok(argv[2], ","); part && port_count < 8; part = strtok(NULL, ",")) {
    is_tls[port_count] = part[0] == 't';
    ports[port_count] = atoi(part + is_tls[port_count]);
    port_count++;
  }
  wanted = strtoull(argv[3], NULL, 10);
  size_t count = strtoull(argv[4], NULL, 10);
  aborts = (unsigned)atoi(argv[5]);
  dice_state = strtoull(argv[6], NULL, 10) * 0x9E3779B97F4A7C15u | 1;
  load_callers(argv[7]);
  load_key(argv[8], argv[9]);
  step = strtoull(argv[10], NULL, 10);
  queue = epoll_create1(EPOLL_CLOEXEC);
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  Connection *all = calloc(count, sizeof *all);
  for (size_t i = 0; i < count; i++) {
    Connection *c = &all[i];
    c->number = (int)i;
    c->out = malloc(OUT_SIZE);
    c->in = malloc(IN_SIZE);
    if (!c->out || !c->in) fail("memory");
    open_connection(c);
    ask(c);
  }
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  struct epoll_event events[256];
  for (size_t idle = 0; idle < count;) {
    int ready = epoll_wait(queue, events, 256, 30000);
    if (ready == 0) {
      fprintf(stderr, "oracle: no answer for 30 s\n");
      for (size_t i = 0; i < count; i++)
        if (!all[i].is_idle) lost += (uint64_t)(all[i].asked_count - all[i].asked_at);
      break;
    }
    for (int i = 0; i < ready; i++) {
      Connection *c = events[i].data.ptr;
      if (!c->is_idle) {
        on_event(c);
      } else {  // it has ended, or says something that nobody asked for
        ssize_t size = c->tls ? 0 : recv(c->fd, c->in, 1, 0);
        if (size > 0) complain("more than was asked for", "", "");
        epoll_ctl(queue, EPOLL_CTL_DEL, c->fd, NULL);
      }
    }
    idle = 0;
    for (size_t i = 0; i < count; i++) idle += (size_t)all[i].is_idle;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("{\"requests\":%llu,\"compared\":%llu,\"aborted\":%llu,\"forged\":%llu,\"other\":%llu,"
         "\"closed\":%llu,\"lost\":%llu,\"mismatches\":%llu,\"tokens\":%zu,"
         "\"seconds\":%.1f,\"statuses\":{",
         (unsigned long long)begun, (unsigned long long)compared, (unsigned long long)aborted,
         (unsigned long long)refused, (unsigned long long)other, (unsigned long long)closed,
         (unsigned long long)lost, (unsigned long long)mismatches, known_count,
         (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
  const char *comma = "";
  for (int status = 0; status < 600; status++) {
    if (!statuses[status]) continue;
    printf("%s\"%d\":%llu", comma, status, (unsigned long long)statuses[status]);
    comma = ",";
  }
  printf("}}\n");
  return 0;
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 11 && !strcmp(argv[1], "ask")) return ask_mode(argv);
  if (argc == 5 && !strcmp(argv[1], "judge")) return load_key(argv[3], argv[4]), judge(argv[2]);
  fprintf(stderr, "usage: oracle ask|judge ...: the head of oracle.c says how\n");
  return 2;
}
