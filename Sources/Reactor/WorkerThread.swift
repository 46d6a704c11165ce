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
