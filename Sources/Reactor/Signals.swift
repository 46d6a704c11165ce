import Glibc

/// The signals that the product knows, taken one after the other by one thread.
package enum Signals {
  package enum Signal: CInt, CaseIterable, Sendable {
    case hangUp = 1
    case interrupt = 2
    case user1 = 10
    case user2 = 12
    case terminate = 15
    /// SIGIO: something has happened in a folder that is watched (`FolderWatch`).
    case foldersTouched = 29
    /// SIGRTMIN of the C library: another thread of this process has something for the one that
    /// takes the signals.
    case bell = 34
  }

  /// Blocks the signals of `Signal` for this thread and all that it starts, and ignores SIGPIPE:
  /// OpenSSL writes with `write`, which has no flag against it. To be called first thing.
  package static func block() {
    signal(SIGPIPE, SIG_IGN)
    var set = Self.set()
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Lets signals end the process again: for commands that only wait for somebody else.
  package static func unblock() {
    var set = Self.set()
    unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  /// Wakes the thread that takes the signals; from any thread. Where the queue of signals is full
  /// one is there already.
  package static func ring() { _ = kill(getpid(), Signal.bell.rawValue) }

  /// Sends a signal to another process.
  package static func send(_ signal: Signal, to process: CInt) {
    _ = kill(process, signal.rawValue)
  }

  /// Waits for the next signal.
  package static func next() -> Signal {
    var set = Self.set()
    while true {
      var number: CInt = 0
      if unsafe sigwait(&set, &number) == 0, let signal = Signal(rawValue: number) {
        return signal
      }
    }
  }

  /// Waits for the next signal, at most so long.
  ///
  /// - Parameter left: a signal that is not taken; it waits for a later call.
  package static func next(withinMs milliseconds: Int64, leaving left: Signal? = nil) -> Signal? {
    var set = Self.set()
    if let left { unsafe sigdelset(&set, left.rawValue) }
    var time = timespec(
      tv_sec: Int(milliseconds / 1_000), tv_nsec: Int(milliseconds % 1_000 * 1_000_000))
    let number = unsafe sigtimedwait(&set, nil, &time)
    return Signal(rawValue: number)
  }

  private static func set() -> sigset_t {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for signal in Signal.allCases { unsafe sigaddset(&set, signal.rawValue) }
    return set
  }
}
