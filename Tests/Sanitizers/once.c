// What ThreadSanitizer is told too much of: that something was made once.
//
// Under ThreadSanitizer Swift's runtime asks each time whether a generic type's description has
// been made, and tells each time both that this thread comes after all who asked before (acquire)
// and that all who ask later come after this one (release). Code that is not optimised asks several
// times a function, so every thread would seem to be ordered with every other, and no race were
// ever seen. True is that who asks comes after the one who made it. So of each thing that is made
// once only the first release is told, which is its maker's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef void (*Hook)(void *word);
static Hook real_release;
// Where the runtime's "once" calls the hook from; tasks are ordered by the same hook.
static void *once_site;

// Words that were released, by their hash. The program has some thousands.
#define PLACES (1u << 18)
static _Atomic(void *) released[PLACES];

static bool is_first(void *word) {
  uint64_t place = (uintptr_t)word * 0x9e3779b97f4a7c15u >> 46;
  for (unsigned tries = 0; tries < PLACES; tries++, place++) {
    void *there = NULL;
    if (atomic_compare_exchange_strong(&released[place % PLACES], &there, word)) return true;
    if (there == word) return false;
  }
  abort();
}

static void release(void *word) {
  if (__builtin_return_address(0) == once_site && !is_first(word)) return;
  real_release(word);
}

static void find_site(void *word) {
  once_site = __builtin_return_address(0);
  real_release(word);
}

static void make(void *context) { (void)context; }

extern void swift_once(void *predicate, void (*function)(void *), void *context);

__attribute__((constructor)) static void stand_between(void) {
  Hook *hook = dlsym(RTLD_DEFAULT, "_swift_tsan_release");
  // Another toolchain with another runtime: better no answer than a wrong one.
  if (!hook || !*hook) abort();
  real_release = *hook;
  *hook = find_site;
  static _Alignas(16) char predicate[64];
  swift_once(predicate, make, NULL);
  if (!once_site) abort();
  *hook = release;
}
