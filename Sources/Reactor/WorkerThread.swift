import CLinux
import Glibc

/// Threads of the process's own: the workers', the resolver's, the log writer's. The product has
/// no others: nothing runs on Swift's global pool.
package enum WorkerThread {
  private final class Start {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// A thread that was started and must be joined.
  package struct Handle: @unchecked Sendable {
    // A `pthread_t` is a plain number on Linux, valid until the one `join` or `detach`.
    fileprivate let thread: pthread_t

    /// Gives up joining: the thread's room is freed when it ends.
    package func detach() { _ = pthread_detach(thread) }

    /// Waits until the thread has ended.
    package func join() { _ = pthread_join(thread, nil) }
  }

  /// Starts a thread with all signals blocked, so that only the thread that asks gets them.
  ///
  /// - Parameter name: at most 15 bytes, as `top -H` shows it.
  package static func start(
    _ name: String, _ body: @escaping @Sendable () -> Void
  ) throws(SystemError) -> Handle {
    var thread = pthread_t()
    let start = unsafe Unmanaged.passRetained(Start(name: name, body: body))
    let code = unsafe pthread_create(
      &thread, nil,
      { argument in
        if let argument = unsafe argument {
          let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
          unsafe start.name.withCString { unsafe clinux_name_thread($0) }
          start.body()
        }
        return nil
      }, start.toOpaque())
    if code != 0 {
      unsafe start.release()
      throw SystemError(call: "pthread_create", code: code)
    }
    return Handle(thread: thread)
  }
}

/// The signals that the product knows, taken one after the other by one thread.
package enum Signals {
  package enum Signal: CInt, Sendable {
    case hangUp = 1
    case interrupt = 2
    case user1 = 10
    case terminate = 15
  }

  /// Blocks the signals of `Signal` for this thread and all that it starts, and ignores SIGPIPE:
  /// OpenSSL writes with `write`, which has no flag against it. To be called first thing.
  package static func block() {
    signal(SIGPIPE, SIG_IGN)
    var set = Self.set()
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Takes `block` back but for SIGPIPE: for a command that any signal may end.
  package static func unblock() {
    var set = Self.set()
    unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
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
  package static func next(withinMs milliseconds: Int64) -> Signal? {
    var set = Self.set()
    var time = timespec(
      tv_sec: Int(milliseconds / 1_000), tv_nsec: Int(milliseconds % 1_000 * 1_000_000))
    let number = unsafe sigtimedwait(&set, nil, &time)
    return Signal(rawValue: number)
  }

  private static func set() -> sigset_t {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for signal in [Signal.hangUp, .interrupt, .user1, .terminate] {
      unsafe sigaddset(&set, signal.rawValue)
    }
    return set
  }
}
