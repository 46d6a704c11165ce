import Reactor
import Synchronization

/// What came of a reload that somebody asked for and waits for.
package struct ReloadOutcome: Sendable {
  package enum Kind: Sendable {
    case done
    /// The routes file, or what it names, is wrong.
    case badInput
    /// The system refused something, or there is nothing to reload.
    case couldNotRun
  }

  package let kind: Kind
  /// Whole lines for people.
  package let text: String

  package init(_ kind: Kind, _ text: String) {
    self.kind = kind
    self.text = text
  }
}

/// A reload that the admin address was asked for; whoever asked waits.
package final class ReloadRequest: Sendable {
  private let outcome = Mutex<ReloadOutcome?>(nil)
  private let waiter: RemoteWaiter

  fileprivate init(_ waiter: RemoteWaiter) { self.waiter = waiter }

  /// Tells who asked what came of it.
  package func answer(_ outcome: ReloadOutcome) {
    self.outcome.withLock { $0 = outcome }
    waiter.signal()
  }

  fileprivate var answered: ReloadOutcome? { outcome.withLock { $0 } }
}

/// The reloads that the admin address was asked for, on their way to the thread that takes the
/// signals: it alone reloads, one after the other.
final class ReloadRequests: Sendable {
  private let waiting = Mutex<[ReloadRequest]>([])

  /// Asks for a reload and waits for its outcome.
  ///
  /// - Returns: nil when nobody answers in time.
  func ask(on loop: EventLoop) async -> ReloadOutcome? {
    let waiter = Waiter(on: loop)
    let request = ReloadRequest(waiter.remote)
    waiting.withLock { $0.append(request) }
    Signals.ring()
    let untilMs = loop.nowMs + Limits.reloadMs
    while true {
      if let outcome = request.answered { return outcome }
      let isSignalled = await waiter.wait(untilMs: untilMs)
      if !isSignalled {
        waiting.withLock { $0.removeAll { $0 === request } }
        return request.answered
      }
    }
  }

  /// Those that wait; what comes from now on is for the next call.
  func take() -> [ReloadRequest] {
    waiting.withLock { waiting in
      defer { waiting = [] }
      return waiting
    }
  }
}
