import Gateway
import Glibc
import Reactor

/// What a process does that was started to take over: the other side of `Upgrading`.
struct Takeover {
  static let readyWord = "ready"
  static let serveWord = "serve"
  static let servingWord = "serving"
  static let settledWord = "settled"
  static let endWord = "end"

  let inheritance: Inheritance
  private let channel: HandoverChannel

  private static let handoverMs: Int64 = 10_000
  private static let keysMs: Int64 = 25_000
  private static let serveMs: Int64 = 60_000

  /// Takes what is handed over; nil where this process was started by nobody to take over from.
  static func begin() throws(HandoverFault) -> Takeover? {
    let inherited: HandoverChannel?
    do throws(SystemError) {
      inherited = try HandoverChannel.inherited()
    } catch {
      throw HandoverFault("\(error)")
    }
    guard let inherited else { return nil }
    let inheritance = try Inheritance(receivingFrom: inherited, withinMs: handoverMs)
    return Takeover(inheritance: inheritance, channel: inherited)
  }

  /// Waits until the gateway can serve and is told to, and opens its doors.
  ///
  /// - Returns: false when it is not to: the other process goes on.
  func finish(_ gateway: Gateway, say: (OperatorLine) -> Void) -> Bool {
    let untilMs = nowMs + Self.keysMs
    var isHungUp = false
    while inheritance.wasReady, !gateway.isReady {
      guard nowMs < untilMs else {
        say(.error("tollgate: this process takes over nothing: it can't serve, and the other can"))
        return false
      }
      if isToldToEnd(withinMs: 20, gateway, &isHungUp) { return false }
    }
    do throws(SystemError) {
      try channel.send(Self.readyWord)
      let serveUntilMs = nowMs + Self.serveMs
      var word: String?
      while word == nil, nowMs < serveUntilMs {
        // The service is the other's still, and goes on without this one.
        if isToldToEnd(withinMs: 0, gateway, &isHungUp) { return false }
        word = try channel.receive(withinMs: 20)
      }
      guard word == Self.serveWord else { return false }
    } catch {
      // The other is gone, without having ended this one: its sockets are nobody's else now.
      say("tollgate: the process that handed over is gone")
    }
    if isHungUp { Signals.send(.hangUp, to: getpid()) }
    gateway.open()
    do throws(SystemError) {
      for line in gateway.left(of: inheritance).lines { try channel.send(line) }
      try channel.send(Self.servingWord)
    } catch {
      // The same: `standProbation` sees it.
    }
    return true
  }

  /// Takes a signal before anything is taken over.
  private func isToldToEnd(
    withinMs milliseconds: Int64, _ gateway: Gateway, _ isHungUp: inout Bool
  ) -> Bool {
    switch Signals.next(withinMs: milliseconds) {
    case .terminate, .interrupt: return true
    case .user1: gateway.reopenLogs()
    // Its files may have been read before they were changed.
    case .hangUp: isHungUp = true
    case .user2, .bell, .foldersTouched, nil: break
    }
    return false
  }

  /// Serves while the other process looks on, and comes back if this one dies.
  ///
  /// What is asked for meanwhile waits until that has gone: at a door that a reload closes here,
  /// callers would wait with a process that does not accept. The end does not wait.
  ///
  /// - Returns: false when the service is to end, with both.
  func standProbation(_ gateway: Gateway) -> Bool {
    var held: Set<Signals.Signal> = []
    let untilMs = nowMs + Limits.probationMsMax
    var pulse = gateway.takePulse()
    var pulseAtMs = nowMs
    waiting: while nowMs < untilMs {
      switch Signals.next(withinMs: 20) {
      case .terminate, .interrupt:
        // Where it is gone already nobody comes back.
        try? channel.send(Probation.endingWord)
        return false
      case .user1: gateway.reopenLogs()
      case .hangUp: held.insert(.hangUp)
      case .user2: held.insert(.user2)
      case .bell: held.insert(.bell)
      case .foldersTouched: held.insert(.foldersTouched)
      case nil: break
      }
      do throws(SystemError) {
        if pulse.isWhole, nowMs >= pulseAtMs {
          try channel.send(Probation.aliveWord)
          pulse = gateway.takePulse()
          pulseAtMs = nowMs + Probation.aliveEveryMs
        }
        switch try channel.receive(withinMs: 0) {
        case Self.endWord: return false
        case Self.settledWord: break waiting
        default: break
        }
      } catch {
        break waiting
      }
    }
    if nowMs >= untilMs { try? channel.send(Probation.aloneWord) }
    gateway.openMore()
    for signal in held { Signals.send(signal, to: getpid()) }
    return true
  }

  private var nowMs: Int64 { Clock.monotonicNs() / 1_000_000 }
}
