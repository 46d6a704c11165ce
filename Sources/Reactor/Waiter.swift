/// Where one task waits: for its sockets, for a signal from another worker, or for its deadline.
///
/// Every socket that a task uses points at the task's waiter, so an event on any of them wakes it
/// and it looks at all of them again. A signal that comes while the task runs is kept, so none is
/// lost between looking and waiting. A wake without a reason is harmless: waiters always look.
@safe package final class Waiter {
  /// The loop on whose thread this waiter lives.
  package let loop: EventLoop
  private var continuation: UnsafeContinuation<Void, Never>?
  /// What to do in place of waking a task, while none waits here.
  private var onWake: (() -> Void)?
  private var isSignalled = false
  private var hasTimedOut = false
  /// When the present wait ends; `Int64.max` while nobody waits or without a deadline.
  private(set) var deadlineMs = Int64.max
  /// The time of this waiter's live entry in the loop's deadline queue.
  private(set) var armedAtMs = Int64.max
  /// The time of a later entry of its there, which was overtaken: who waits a moment now and then,
  /// and long in between, would else have a new one each time. `Int64.max` without one.
  private var laterAtMs = Int64.max
  private var token: UInt64 = 0

  /// Makes a waiter; to be called on the loop's thread.
  package init(on loop: EventLoop) {
    self.loop = loop
    token = loop.register(self)
  }

  deinit { loop.unregisterWaiter(token) }

  /// A name of this waiter that other threads may signal, also when it is gone.
  package var remote: RemoteWaiter { RemoteWaiter(loop: loop, token: token) }

  /// Waits for a signal or the deadline.
  ///
  /// - Parameter deadlineMs: on the loop's clock, see `EventLoop.nowMs`.
  /// - Returns: whether there was a signal; false when the deadline ended the wait.
  package func wait(untilMs deadlineMs: Int64 = .max) async -> Bool {
    if isSignalled {
      isSignalled = false
      return true
    }
    if deadlineMs <= loop.nowMs { return false }
    self.deadlineMs = deadlineMs
    if deadlineMs < armedAtMs { arm(atMs: deadlineMs) }
    await unsafe withUnsafeContinuation { waiting in
      // A task that no actor isolates comes here by way of the loop's queue: what came meanwhile
      // found nobody, and must not be lost.
      if isSignalled {
        unsafe waiting.resume()
      } else if deadlineMs <= loop.nowMs {
        hasTimedOut = true
        unsafe waiting.resume()
      } else {
        unsafe continuation = waiting
      }
    }
    self.deadlineMs = .max
    if hasTimedOut {
      hasTimedOut = false
      return false
    }
    isSignalled = false
    return true
  }

  /// Lets everybody else on this loop have their turn. To be called now and then by a task that may
  /// never have to wait, because its peers are as fast as it is.
  package func pause() async {
    isSignalled = false
    loop.signalNextTurn(token)
    _ = await wait()
    // Whoever waits next looks again: the signal may have been another one.
    isSignalled = true
  }

  /// Waits without a task: at the next signal, or at the deadline, `wake` is called once, on the
  /// loop's thread. For waits that are long and many: a task's frames are some KiB.
  package func park(untilMs deadlineMs: Int64, wake: @escaping () -> Void) {
    if isSignalled || deadlineMs <= loop.nowMs {
      wake()
      return
    }
    onWake = wake
    self.deadlineMs = deadlineMs
    if deadlineMs < armedAtMs { arm(atMs: deadlineMs) }
  }

  /// Wakes the task, or keeps the signal for its next wait.
  package func signal() {
    isSignalled = true
    resume()
  }

  private func arm(atMs: Int64) {
    // The longest is the one to remember: it is in the queue for as long.
    if laterAtMs == .max { laterAtMs = armedAtMs }
    armedAtMs = atMs
    loop.arm(token, atMs: atMs)
  }

  /// Its entry of `atMs` in the loop's deadline queue has come to its turn.
  func takeEntry(atMs: Int64, nowMs: Int64) {
    // One that is not the live one was overtaken by an earlier deadline.
    guard atMs == armedAtMs else {
      if atMs == laterAtMs { laterAtMs = .max }
      return
    }
    armedAtMs = laterAtMs
    laterAtMs = .max
    if deadlineMs <= nowMs {
      timeOut()
    } else if deadlineMs < armedAtMs {
      arm(atMs: deadlineMs)
    }
  }

  private func timeOut() {
    // A second deadline may have passed in the same turn, before the task runs: no news then.
    if unsafe continuation != nil { hasTimedOut = true }
    resume()
  }

  private func resume() {
    guard let waiting = unsafe continuation else {
      if let wake = onWake {
        onWake = nil
        deadlineMs = .max
        wake()
      }
      return
    }
    unsafe continuation = nil
    unsafe waiting.resume()
  }
}

/// A waiter on some worker's thread, named so that any thread may wake it.
package struct RemoteWaiter: Sendable, Equatable {
  let loop: EventLoop
  let token: UInt64

  package static func == (one: RemoteWaiter, other: RemoteWaiter) -> Bool {
    one.loop === other.loop && one.token == other.token
  }

  /// Wakes the waiter soon; nothing happens when it is gone by then.
  package func signal() { loop.signalRemotely(token) }
}
