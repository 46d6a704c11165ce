import Gateway
import Reactor

/// What a running gateway is asked by its operator, one thing after the other: reloads, by SIGHUP,
/// the admin address or a changed file; new log files by SIGUSR1; a new program in this one's place
/// by SIGUSR2; the end by SIGTERM or SIGINT, or by the SIGHUP of a terminal that is closed.
struct Operating {
  let gateway: Gateway
  /// How the running configuration ends.
  var shutdown: ShutdownSettings
  /// Nil where there is no routes file to read again.
  var reloading: Reloading?
  /// Nil where no other program can take over.
  var upgrading: Upgrading?
  /// Nil where this process was not started to take over.
  var takeover: Takeover?
  let manager: ServiceManager
  private let terminal = OwnTerminal()
  /// Takes a line for the operator, and no time.
  let say: (OperatorLine) -> Void

  /// Serves until it is to end, and ends.
  mutating func serve() {
    if let takeover, !takeover.standProbation(gateway) {
      Self.refuse(gateway.takeReloadRequests(), "the gateway is ending")
      return end(delayMs: shutdown.delayMs)
    }
    if let reloading { manager.tellReady(reloading.status) }
    /// A signal that came while another thing was done.
    var kept: Signals.Signal?
    var lookAtMs = nowMs + Reloading.lookEveryMs
    while true {
      let signal = kept ?? Signals.next(withinMs: max(0, lookAtMs - nowMs))
      kept = nil
      let requests = gateway.takeReloadRequests()
      switch signal {
      case .terminate, .interrupt:
        Self.refuse(requests, "the gateway is ending")
        return end(delayMs: shutdown.delayMs)
      case .hangUp:
        // Of who started it there and has left nobody would expect that it goes on.
        if terminal.isGone {
          say("tollgate: the terminal that it was started at is closed")
          Self.refuse(requests, "the gateway is ending")
          return end(delayMs: shutdown.delayMs)
        }
        reload(.asked, for: requests)
      case .user2:
        guard let back = upgrade(requests) else { return }
        kept = back.signal
        // Reloads may have been asked for, and files changed, while nobody looked.
        lookAtMs = nowMs
      case .user1: gateway.reopenLogs()
      case .bell: break
      case .foldersTouched:
        let (isTouched, other) = settle()
        kept = other
        if isTouched, requests.isEmpty { reload(.filesTouched, for: []) }
      case nil:
        lookAtMs = nowMs + Reloading.lookEveryMs
        if requests.isEmpty { reload(.filesChanged, for: []) }
      }
      if signal != .hangUp, !requests.isEmpty { reload(.asked, for: requests) }
    }
  }

  /// Waits until whoever changes files is done with it, as far as one can tell. What happens beside
  /// them, in a folder where much does, is looked at no more often than that.
  ///
  /// - Returns: whether one of them may have changed, and a signal that ended the wait.
  private func settle() -> (isTouched: Bool, kept: Signals.Signal?) {
    let untilMs = nowMs + Reloading.settleMsMax
    var isTouched = false
    while true {
      let signal = Signals.next(withinMs: Reloading.settleMs, leaving: .foldersTouched)
      let isTouchedAgain = reloading?.takeTouches() ?? false
      if isTouchedAgain { isTouched = true }
      if signal != nil || !isTouchedAgain || nowMs >= untilMs { return (isTouched, signal) }
    }
  }

  private mutating func reload(_ reason: Reloading.Reason, for requests: [ReloadRequest]) {
    guard reloading != nil else {
      guard reason == .asked else { return }
      say("tollgate: there is no routes file to read again")
      return Self.refuse(requests, "there is no routes file to read again")
    }
    guard let (outcome, other) = reloading?.look(reason) else { return }
    if let other { shutdown = other }
    for request in requests { request.answer(outcome) }
  }

  static func refuse(_ requests: [ReloadRequest], _ why: String) {
    for request in requests { request.answer(ReloadOutcome(.couldNotRun, "tollgate: \(why)\n")) }
  }

  /// Fails readiness, waits for `delayMs`, and drains; a second signal ends at once.
  private func end(delayMs: Int64) {
    gateway.failReadiness()
    manager.tellStopping("Finishing requests")
    say("tollgate: ending; requests under way are finished")
    let untilMs = nowMs + delayMs
    while nowMs < untilMs {
      if !goesOn(withinMs: min(20, untilMs - nowMs)) { return gateway.stop() }
    }
    drain(graceMs: shutdown.graceMs)
  }

  func drain(graceMs: Int64) {
    var told = 1
    drain(graceMs: graceMs, told: &told)
  }

  /// - Parameter told: how often it was told to end; twice is to end at once.
  func drain(graceMs: Int64, told: inout Int) {
    gateway.drain()
    let untilMs = nowMs + graceMs
    while !gateway.isDrained {
      if nowMs >= untilMs {
        say(.warning("tollgate: some requests did not finish in time and are cut"))
        break
      }
      if !goesOn(withinMs: min(20, untilMs - nowMs)) {
        told += 1
        if told > 1 { break }
      }
    }
    gateway.stop()
  }

  /// Takes a signal while the gateway ends.
  ///
  /// - Returns: false when it is to end at once.
  func goesOn(withinMs milliseconds: Int64) -> Bool {
    let signal = Signals.next(withinMs: max(0, milliseconds))
    Self.refuse(gateway.takeReloadRequests(), "the gateway is ending")
    switch signal {
    case .terminate, .interrupt: return false
    case .user1: gateway.reopenLogs()
    case .user2, .hangUp, .bell, .foldersTouched, nil: break
    }
    return true
  }

  var nowMs: Int64 { Clock.monotonicNs() / 1_000_000 }
}
