// What ThreadSanitizer cannot see by itself of Swift's `Mutex`.
//
// Taking and giving back a free mutex is compiled into the program, and is seen: an atomic exchange
// on the mutex's word. Only where two threads meet does the standard library wait and wake by
// futex, in code that is not instrumented, so that what one thread did under the lock would seem
// unordered with what the next one does. These stand in front of the library's functions and tell
// the order by the mutex's word, which is also what the instrumented half tells it by. Nothing else
// is said, so whatever is touched without the lock is still reported.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

void __tsan_acquire(void *word);
void __tsan_release(void *word);

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *word

static void *next(const char *symbol) {
  void *found = dlsym(RTLD_NEXT, symbol);
  // Another toolchain with another mutex: better no answer than a wrong one.
  if (!found) abort();
  return found;
}

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef SWIFT void (*LockFunction)(uint32_t, SELF);
typedef SWIFT bool (*TryFunction)(SELF);
typedef SWIFT void (*UnlockFunction)(SELF);
static LockFunction real_lock;
static TryFunction real_try;
static UnlockFunction real_unlock;

__attribute__((constructor)) static void look_up(void) {
  real_lock = (LockFunction)next(LOCK);
  real_try = (TryFunction)next(TRY);
  real_unlock = (UnlockFunction)next(UNLOCK);
}

SWIFT void stand_in_lock(uint32_t thread, SELF) __asm__(LOCK);
SWIFT void stand_in_lock(uint32_t thread, SELF) {
  real_lock(thread, word);
  __tsan_acquire(word);
}

SWIFT bool stand_in_try(SELF) __asm__(TRY);
SWIFT bool stand_in_try(SELF) {
  bool taken = real_try(word);
  if (taken) __tsan_acquire(word);
  return taken;
}

SWIFT void stand_in_unlock(SELF) __asm__(UNLOCK);
SWIFT void stand_in_unlock(SELF) {
  __tsan_release(word);
  real_unlock(word);
}
