// What needs GNU's declarations, which Swift's own import of Glibc is made without.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "CLinux.h"

int clinux_accept(int fd, struct sockaddr *address, socklen_t *length) {
  return accept4(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int clinux_affinity_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return -1;
  return CPU_COUNT(&set);
}

void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int clinux_send_datagram(const void *path, size_t path_count, const void *bytes, size_t count) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path_count == 0 || path_count > sizeof address.sun_path) return -1;
  memcpy(address.sun_path, path, path_count);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  struct timeval second = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_count);
  ssize_t sent =
      sendto(fd, bytes, count, MSG_NOSIGNAL, (const struct sockaddr *)&address, length);
  close(fd);
  return sent < 0 ? -1 : 0;
}
