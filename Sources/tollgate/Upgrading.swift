import Gateway
import Glibc
import Reactor

/// Puts a new program in this one's place without a caller noticing: SIGUSR2, as nginx and HAProxy
/// have it.
///
/// The program is started by the name and with the arguments that this one was started by, as a
/// child that inherits the listening sockets under their numbers. Inherited, not passed along: one
/// system call does it for any number of them, and they are the same sockets, so neither a callers'
/// queue nor the kernel's choice between them changes when either process ends. What the numbers
/// mean, and the keys of session tickets, go through a channel that only the two have
/// (`Legacy.send`); the environment names the channel's number and nothing else.
///
///     this one                               the new one
///     doors, keys                 ───────▶   loads its files, starts, fetches its keys
///                                 ◀───────   ready
///     two seconds more            ───────▶   (would have died by now if it dies at once)
///     serve                       ───────▶   accepts, as this one still does
///                                 ◀───────   serving
///     stops accepting, finishes its requests
///
/// Until `serving` this one accepts at every socket, and nobody else does: whatever goes wrong
/// before costs nothing. It waits for each step for a time, and kills what does not keep it.
struct Upgrading {
  /// The program's name first.
  let arguments: [String]

  enum Outcome {
    /// The other accepts; this one is to finish.
    case handedOver
    /// Nothing has changed; a signal that came meanwhile is still to be seen to.
    case refused(then: Signals.Signal?)
  }

  private static let readyMs: Int64 = 30_000
  private static let probationMs: Int64 = 2_000
  private static let servingMs: Int64 = 10_000

  func handOver(
    _ gateway: Gateway, manager: ServiceManager, say: (OperatorLine) -> Void
  ) -> Outcome {
    guard getpid() != 1 else {
      say(.error("tollgate: process 1 can't be replaced: what it runs in ends with it"))
      return .refused(then: nil)
    }
    let legacy = gateway.legacy
    let successor: Successor
    let channel: HandoverChannel
    do throws(SystemError) {
      (successor, channel) = try Successor.start(arguments, inheriting: legacy.numbers)
    } catch {
      say(.error("tollgate: \(error)"))
      return .refused(then: nil)
    }
    say("tollgate: process \(successor.process) was started to take over")
    var watch = Watch(gateway: gateway, successor: successor, channel: channel)
    do throws(Failure) {
      do throws(SystemError) {
        try legacy.send(over: channel, isReady: gateway.isReady)
      } catch {
        throw .text("it takes nothing: \(error)")
      }
      try watch.awaitLine(Takeover.readyWord, withinMs: Self.readyMs)
      try watch.awaitNothing(forMs: Self.probationMs)
      do throws(SystemError) {
        try channel.send(Takeover.serveWord)
      } catch {
        throw .text("it is gone: \(error)")
      }
      try watch.awaitLine(Takeover.servingWord, withinMs: Self.servingMs)
    } catch {
      successor.end()
      switch error {
      case .text(let text):
        say(.error("tollgate: process \(successor.process) did not take over: \(text)"))
        return .refused(then: watch.wasHungUp ? .hangUp : nil)
      case .signal(let signal):
        return .refused(then: signal)
      }
    }
    manager.tellSuccessor(successor.process)
    if watch.wasHungUp { Signals.send(.hangUp, to: successor.process) }
    return .handedOver
  }

  private enum Failure: Error {
    case text(String)
    case signal(Signals.Signal)
  }

  /// Waits for the new process without letting signals wait.
  private struct Watch {
    let gateway: Gateway
    let successor: Successor
    let channel: HandoverChannel
    private(set) var wasHungUp = false

    init(gateway: Gateway, successor: Successor, channel: HandoverChannel) {
      self.gateway = gateway
      self.successor = successor
      self.channel = channel
    }

    mutating func awaitLine(_ line: String, withinMs milliseconds: Int64) throws(Failure) {
      guard let said = try next(withinMs: milliseconds) else {
        throw .text("it was not \"\(line)\" within \(milliseconds / 1_000) s")
      }
      guard said == line else { throw .text("it says \"\(said)\" in place of \"\(line)\"") }
    }

    mutating func awaitNothing(forMs milliseconds: Int64) throws(Failure) {
      if let said = try next(withinMs: milliseconds) { throw .text("it says \"\(said)\"") }
    }

    private mutating func next(withinMs milliseconds: Int64) throws(Failure) -> String? {
      let untilMs = Clock.monotonicNs() / 1_000_000 + milliseconds
      while Clock.monotonicNs() / 1_000_000 < untilMs {
        try takeSignal(withinMs: 0)
        do throws(SystemError) {
          if let line = try channel.receive(withinMs: 20) { return line }
        } catch {
          // How it ended is known a moment after its end of the channel has gone.
          let lookUntilMs = Clock.monotonicNs() / 1_000_000 + 1_000
          while Clock.monotonicNs() / 1_000_000 < lookUntilMs {
            if let ending = successor.ending() { throw .text(ending) }
            try takeSignal(withinMs: 5)
          }
          throw .text("it hung up")
        }
        if let ending = successor.ending() { throw .text(ending) }
      }
      return nil
    }

    private mutating func takeSignal(withinMs milliseconds: Int64) throws(Failure) {
      switch Signals.next(withinMs: milliseconds) {
      case .terminate, .interrupt: throw .signal(.terminate)
      case .hangUp: wasHungUp = true
      case .user1: gateway.reopenLogs()
      case .user2, .bell, .foldersTouched, nil: break
      }
    }
  }
}

/// The other side: what a process does that was started to take over.
struct Takeover {
  static let readyWord = "ready"
  static let serveWord = "serve"
  static let servingWord = "serving"

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
    let untilMs = Clock.monotonicNs() / 1_000_000 + Self.keysMs
    while inheritance.wasReady, !gateway.isReady {
      guard Clock.monotonicNs() / 1_000_000 < untilMs else {
        say(.error("tollgate: this process takes over nothing: it can't serve, and the other can"))
        return false
      }
      switch Signals.next(withinMs: 20) {
      case .terminate, .interrupt: return false
      case .hangUp, .user1, .user2, .bell, .foldersTouched, nil: break
      }
    }
    do throws(SystemError) {
      try channel.send(Self.readyWord)
      guard try channel.receive(withinMs: Self.serveMs) == Self.serveWord else { return false }
    } catch {
      // The other is gone, without having ended this one: its sockets are nobody's else now.
      say("tollgate: the process that handed over is gone")
    }
    gateway.open()
    try? channel.send(Self.servingWord)
    return true
  }
}
