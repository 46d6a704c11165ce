// What needs GNU's declarations, which Swift's own import of Glibc is made without.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

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

void clinux_fill_standard(void) {
  int fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= 2) fd = open("/dev/null", O_RDWR);
  if (fd > 2) close(fd);
}

int clinux_inotify(void) { return inotify_init1(IN_CLOEXEC | IN_NONBLOCK); }

int clinux_inotify_add(int fd, const char *folder) {
  return inotify_add_watch(fd, folder,
                           IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE |
                               IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR);
}

int clinux_inotify_remove(int fd, int watch) { return inotify_rm_watch(fd, watch); }

int clinux_is_of_listing(uint32_t mask) {
  return (mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) != 0;
}

int clinux_is_of_folder(uint32_t mask) {
  return (mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT | IN_MOVE_SELF | IN_DELETE_SELF)) != 0;
}

int clinux_signal_of_reading(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETOWN, getpid()) != 0) return -1;
  return fcntl(fd, F_SETFL, flags | O_ASYNC);
}

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

int clinux_spawn_reading(const char *program, const char *first, const char *second,
                         const char *third, int *pid) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  // What this process blocks and ignores the other one must not.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  char *const arguments[] = {(char *)program, (char *)first, (char *)second, (char *)third, 0};
  int failure = posix_spawnp(pid, program, &actions, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  if (failure == 0) return ends[0];
  close(ends[0]);
  errno = failure;
  return -1;
}
