import Glibc

/// A counting semaphore for the few threads that wait for work without a loop.
///
/// `@unchecked Sendable` holds: the pointer never changes, and POSIX semaphores are made for use by
/// several threads.
@safe package final class Semaphore: @unchecked Sendable {
  private let semaphore: UnsafeMutablePointer<sem_t>

  package init() {
    unsafe semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    unsafe sem_init(semaphore, 0, 0)
  }

  deinit {
    unsafe sem_destroy(semaphore)
    unsafe semaphore.deallocate()
  }

  package func signal() { unsafe sem_post(semaphore) }

  /// Waits for a signal, at most so long.
  ///
  /// - Returns: whether one came.
  @discardableResult
  package func wait(milliseconds: Int64) -> Bool {
    var until = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &until)
    let ns = Int64(until.tv_nsec) + milliseconds % 1_000 * 1_000_000
    until.tv_sec += Int(milliseconds / 1_000 + ns / 1_000_000_000)
    until.tv_nsec = Int(ns % 1_000_000_000)
    return unsafe sem_timedwait(semaphore, &until) == 0
  }
}
