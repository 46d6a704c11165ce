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
///     rests, looks on for a while (`Probation`)
///     closes its doors            ───────▶   settled
///     finishes its requests
///
/// Until `serving` this one accepts at every socket, and nobody else does: whatever goes wrong
/// before costs nothing. It waits for each step for a time, and kills what does not keep it. When
/// the new one dies between `serving` and `settled`, this one accepts again, at sockets that were
/// open all the time: lost is what that one had accepted, and no more.
///
/// For as long as that may happen this one is the service to whoever looks after it: the service
/// manager's main process, which takes its end for the service's.
struct Upgrading {
  /// The program's name first.
  let arguments: [String]

  enum Outcome {
    /// The other accepts; this one is to rest.
    case takenOver(Standby)
    /// Nothing has changed; a signal that came meanwhile is still to be seen to.
    case refused(then: Signals.Signal?)
  }

  /// The process that has taken over, as the one before sees it.
  struct Standby {
    let watch: SuccessorWatch
    let left: LeftDoors
    /// A reload was asked for meanwhile.
    let wasHungUp: Bool
  }

  private static let readyMs: Int64 = 30_000
  private static let quietMs: Int64 = 2_000
  private static let servingMs: Int64 = 10_000

  func handOver(_ gateway: Gateway, say: (OperatorLine) -> Void) -> Outcome {
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
    let watch = SuccessorWatch(gateway: gateway, successor: successor, channel: channel)
    var wasHungUp = false
    do throws(Failure) {
      do throws(SystemError) {
        try legacy.send(over: channel, isReady: gateway.isReady)
      } catch {
        throw .text("it takes nothing: \(error)")
      }
      try awaitLine(Takeover.readyWord, watch, withinMs: Self.readyMs, &wasHungUp)
      if let said = try next(watch, withinMs: Self.quietMs, &wasHungUp) {
        throw .text("it says \"\(said)\"")
      }
      do throws(SystemError) {
        try channel.send(Takeover.serveWord)
      } catch {
        throw .text("it is gone: \(error)")
      }
      let left = try awaitServing(watch, &wasHungUp)
      return .takenOver(Standby(watch: watch, left: left, wasHungUp: wasHungUp))
    } catch {
      successor.end()
      switch error {
      case .text(let text):
        say(.error("tollgate: process \(successor.process) did not take over: \(text)"))
        return .refused(then: wasHungUp ? .hangUp : nil)
      case .signal(let signal):
        return .refused(then: signal)
      }
    }
  }

  private enum Failure: Error {
    case text(String)
    case signal(Signals.Signal)
  }

  /// Waits for the doors that the new one leaves, and for its word that it serves at all others.
  private func awaitServing(
    _ watch: SuccessorWatch, _ wasHungUp: inout Bool
  ) throws(Failure) -> LeftDoors {
    var left = LeftDoors()
    let untilMs = nowMs + Self.servingMs
    while let said = try next(watch, withinMs: untilMs - nowMs, &wasHungUp) {
      if said == Takeover.servingWord { return left }
      guard left.take(said) else { throw wrong(said, Takeover.servingWord) }
    }
    throw late(Takeover.servingWord, Self.servingMs)
  }

  private func awaitLine(
    _ line: String, _ watch: SuccessorWatch, withinMs milliseconds: Int64,
    _ wasHungUp: inout Bool
  ) throws(Failure) {
    guard let said = try next(watch, withinMs: milliseconds, &wasHungUp) else {
      throw late(line, milliseconds)
    }
    guard said == line else { throw wrong(said, line) }
  }

  private func late(_ line: String, _ milliseconds: Int64) -> Failure {
    .text("it was not \"\(line)\" within \(milliseconds / 1_000) s")
  }

  private func wrong(_ said: String, _ line: String) -> Failure {
    .text("it says \"\(said)\" in place of \"\(line)\"")
  }

  /// What it says next; nil where that does not come in time.
  private func next(
    _ watch: SuccessorWatch, withinMs milliseconds: Int64, _ wasHungUp: inout Bool
  ) throws(Failure) -> String? {
    let untilMs = nowMs + milliseconds
    while nowMs < untilMs {
      switch watch.look() {
      case .line(let line): return line
      case .ended(let how): throw .text(how)
      case .signal(.terminate), .signal(.interrupt): throw .signal(.terminate)
      case .signal(.hangUp): wasHungUp = true
      case .signal(.user1), .signal(.user2), .signal(.bell), .signal(.foldersTouched), .nothing:
        break
      }
    }
    return nil
  }

  private var nowMs: Int64 { Clock.monotonicNs() / 1_000_000 }
}
