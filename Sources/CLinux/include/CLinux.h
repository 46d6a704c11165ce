// What Swift cannot import from Linux's headers: epoll, eventfd, accept4, and flags that are macros
// or enums there. No logic.
#ifndef TOLLGATE_CLINUX_H
#define TOLLGATE_CLINUX_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const uint32_t clinux_epollin = EPOLLIN;
static const uint32_t clinux_epollout = EPOLLOUT;
static const uint32_t clinux_epollrdhup = EPOLLRDHUP;
static const uint32_t clinux_epollhup = EPOLLHUP;
static const uint32_t clinux_epollerr = EPOLLERR;
static const uint32_t clinux_epollet = EPOLLET;

static inline int clinux_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

// Watches a descriptor edge-triggered for everything; `token` comes back with each event.
static inline int clinux_epoll_add(int epoll, int fd, uint64_t token) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                              .data = {.u64 = token}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
static inline int clinux_epoll_add_reading(int epoll, int fd, uint64_t token) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.u64 = token}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
// A listening socket that several loops watch: a connection wakes one of those that sleep.
static inline int clinux_epoll_add_shared(int epoll, int fd, uint64_t token) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLET | EPOLLEXCLUSIVE,
                              .data = {.u64 = token}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
static inline int clinux_epoll_remove(int epoll, int fd) {
  struct epoll_event event = {0};
  return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event);
}
static inline uint64_t clinux_event_token(const struct epoll_event *event) {
  return event->data.u64;
}

static inline int clinux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

// Accepts a connection non-blocking and closed on exec.
int clinux_accept(int fd, struct sockaddr *address, socklen_t *length);
static inline int clinux_bind(int fd, const struct sockaddr *address, socklen_t length) {
  return bind(fd, address, length);
}
// The address of a unix socket's file; 0 where the path is too long for one.
static inline socklen_t clinux_unix_address(struct sockaddr_un *address, const char *path) {
  size_t length = strlen(path);
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (length >= sizeof address->sun_path) return 0;
  memcpy(address->sun_path, path, length);
  return (socklen_t)(sizeof(sa_family_t) + length + 1);
}
static inline int clinux_bind_unix(int fd, const char *path) {
  struct sockaddr_un address;
  socklen_t length = clinux_unix_address(&address, path);
  if (length > 0) return bind(fd, (const struct sockaddr *)&address, length);
  errno = ENAMETOOLONG;
  return -1;
}
static inline int clinux_connect_unix(int fd, const char *path) {
  struct sockaddr_un address;
  socklen_t length = clinux_unix_address(&address, path);
  if (length > 0) return connect(fd, (const struct sockaddr *)&address, length);
  errno = ENAMETOOLONG;
  return -1;
}
// The path, `@` in front of an abstract one, of the unix socket that `fd` is; -1 where it is none.
static inline int clinux_unix_name(int fd, char *path, size_t capacity) {
  struct sockaddr_un address = {0};
  socklen_t length = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) return -1;
  if (address.sun_family != AF_UNIX || capacity < sizeof address.sun_path) return -1;
  memcpy(path, address.sun_path, sizeof address.sun_path);
  if (length > sizeof(sa_family_t) && path[0] == 0) path[0] = '@';
  path[capacity - 1] = 0;
  return 0;
}
static const int clinux_sock_stream = SOCK_STREAM;
static inline int clinux_socket_option(int fd, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}
static inline int clinux_stream_socket(int family) {
  return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}
static inline int clinux_set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value);
}
static inline int clinux_set_no_delay(int fd) {
  return clinux_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}
// Bytes written and not yet sent stay below this: else a reader that stops has megabytes in the
// kernel. Accepted sockets inherit it.
static inline int clinux_set_unsent_max(int fd, int bytes) {
  return clinux_set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
}
// Bytes written that the peer has not acknowledged; -1 where the kernel does not say.
static inline int clinux_outgoing(int fd) {
  int count = 0;
  return ioctl(fd, TIOCOUTQ, &count) == 0 ? count : -1;
}
static inline int clinux_set_keep_alive(int fd) {
  return clinux_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}
static inline int clinux_set_reuse_port(int fd) {
  return clinux_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}
static inline int clinux_set_reuse_address(int fd) {
  return clinux_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}
static inline int clinux_set_v6_only(int fd) {
  return clinux_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
}
// SO_LINGER 0: the close that follows resets the connection.
static inline int clinux_set_reset_on_close(int fd) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}
static inline int clinux_is_quiet(int fd) {
  char byte;
  ssize_t count = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count < 0 && errno == EAGAIN;
}
static inline int clinux_socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? -1 : error;
}
static inline ssize_t clinux_send(int fd, const void *bytes, size_t count) {
  return send(fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
}
static inline ssize_t clinux_peek(int fd, void *bytes, size_t count) {
  return recv(fd, bytes, count, MSG_PEEK | MSG_DONTWAIT);
}
static inline ssize_t clinux_receive(int fd, void *bytes, size_t count) {
  return recv(fd, bytes, count, MSG_DONTWAIT);
}

// Sends a datagram to the unix socket of that path; a first byte of 0 is the abstract namespace.
// Waits a second at most for room.
int clinux_send_datagram(const void *path, size_t path_count, const void *bytes, size_t count);

// A pair of connected stream sockets.
static inline int clinux_socket_pair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}
static inline int clinux_set_send_timeout(int fd, int seconds) {
  struct timeval time = {.tv_sec = seconds};
  return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}
// Waits until there is something to read; 0: not in time.
static inline int clinux_await_reading(int fd, int milliseconds) {
  struct pollfd one = {.fd = fd, .events = POLLIN};
  return poll(&one, 1, milliseconds);
}
static inline int clinux_close_on_exec(int fd) { return fcntl(fd, F_SETFD, FD_CLOEXEC); }

// How many processors this thread may run on, or -1.
int clinux_affinity_count(void);

// Opens those of the three standard descriptors that are closed, on /dev/null.
void clinux_fill_standard(void);

// Names the calling thread, as `top -H` shows it.
void clinux_name_thread(const char *name);

static inline void *clinux_map_pages(size_t count) {
  void *pages =
      mmap(0, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? 0 : pages;
}
// An address that is never read or written, for what has no memory.
static inline void *clinux_nowhere(void) { return (void *)16; }
static inline void clinux_forget_pages(void *pages, size_t count) {
  madvise(pages, count, MADV_DONTNEED);
}

static inline int clinux_duplicate(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 3); }
// A terminal's columns and rows; -1 where the descriptor is none.
static inline int clinux_terminal_size(int fd, int *columns, int *rows) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return -1;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return 0;
}
static inline int clinux_open_reading(const char *path) {
  return open(path, O_RDONLY | O_CLOEXEC);
}
// Starts a program whose standard output is the reading end of a pipe; returns that end, and its
// process' id in `pid`, or -1 with `errno`. Its standard input and error are this process'.
int clinux_spawn_reading(const char *program, const char *first, const char *second,
                         const char *third, int *pid);
static inline int clinux_open_appending(const char *path) {
  return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

// A queue of what happens in folders, as inotify(7) has it.
int clinux_inotify(void);
// Has this process sent SIGIO whenever there is something new to read.
int clinux_signal_of_reading(int fd);
// Watches a folder: what is put in, taken out, written to its end or given other rights. The watch,
// which is the one that there is where the folder is watched already.
int clinux_inotify_add(int fd, const char *folder);
int clinux_inotify_remove(int fd, int watch);
// Events: something came into the folder or went out of it; or it is not what it was, or some are
// lost.
int clinux_is_of_listing(uint32_t mask);
int clinux_is_of_folder(uint32_t mask);

#endif
