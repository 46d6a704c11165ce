import Gateway
import Reactor

/// Looks at a process that was started to take over, without letting signals to this one wait.
struct SuccessorWatch {
  let gateway: Gateway
  let successor: Successor
  let channel: HandoverChannel

  private static let lookMs: Int64 = 20
  private static let endingMs: Int64 = 1_000

  /// What is seen next, or nothing for a moment. An access log is opened anew at once, by both: the
  /// other writes to the same file, or is about to.
  func look() -> Probation.Sight {
    if let signal = Signals.next(withinMs: 0) {
      if signal == .user1 {
        gateway.reopenLogs()
        // Where it has not come to take signals yet, this one waits: it began with them blocked.
        Signals.send(.user1, to: successor.process)
      }
      return .signal(signal)
    }
    do throws(SystemError) {
      if let line = try channel.receive(withinMs: Self.lookMs) { return .line(line) }
    } catch {
      return .ended(howItEnds())
    }
    return successor.ending().map(Probation.Sight.ended) ?? .nothing
  }

  /// How it ended is known a moment after its end of the channel has gone.
  private func howItEnds() -> String {
    let untilMs = Clock.monotonicNs() / 1_000_000 + Self.endingMs
    let pause = Semaphore()
    while Clock.monotonicNs() / 1_000_000 < untilMs {
      if let ending = successor.ending() { return ending }
      pause.wait(milliseconds: 5)
    }
    return "it hung up"
  }
}
