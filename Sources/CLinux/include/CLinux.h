// What Swift cannot import from Linux's headers.
#ifndef TOLLGATE_CLINUX_H
#define TOLLGATE_CLINUX_H

#include <sys/epoll.h>
#include <sys/eventfd.h>

#endif
