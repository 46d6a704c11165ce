import Gateway
import Glibc
import Reactor

extension Operating {
  /// This process serves on after an upgrade; a signal that came meanwhile is still to be seen to.
  struct Back {
    let signal: Signals.Signal?
  }

  /// Has another program take over, and ends when it has.
  ///
  /// - Parameter requests: reloads that wait; they are answered where this process goes.
  /// - Returns: nil when it has gone.
  func upgrade(_ requests: [ReloadRequest]) -> Back? {
    guard let upgrading else {
      say("tollgate: there is no other program to take over")
      return Back(signal: nil)
    }
    switch upgrading.handOver(gateway, say: say) {
    case .refused(let signal):
      gateway.noteFailedUpgrade(.notTakenOver)
      say(.warning("tollgate: the upgrade did not come about: this process goes on"))
      return Back(signal: signal)
    case .takenOver(let standby):
      return rest(standby, requests)
    }
  }

  /// Another process accepts: looks on, and leaves or comes back.
  private func rest(_ standby: Upgrading.Standby, _ requests: [ReloadRequest]) -> Back? {
    let (watch, process) = (standby.watch, standby.watch.successor.process)
    gateway.rest(but: standby.left)
    let restedAtMs = nowMs
    say(
      .info(
        "tollgate: process \(process) has taken over; if it dies within "
          + "\(Limits.probationMs / 1_000) s, this one serves again"))
    var probation = Probation(fromMs: restedAtMs)
    while true {
      let verdict = probation.judge(watch.look(), atMs: nowMs)
      let isHungUp = standby.wasHungUp || probation.wasHungUp
      switch verdict {
      case .goesOn: continue
      case .stands:
        // First who is the service now: the other says that it is ready when it is let go.
        manager.tellSuccessor(process)
        if isHungUp { Signals.send(.hangUp, to: process) }
        do throws(SystemError) {
          try watch.channel.send(Takeover.settledWord)
        } catch {
          return comeBack(standby, "it is gone", isHungUp)
        }
        Self.refuse(
          requests + gateway.takeReloadRequests(), "another process has just taken over")
        gateway.leave(standby.left)
        say("tollgate: process \(process) goes on alone; requests under way are finished")
        leave(softlyUntilMs: restedAtMs + Limits.leaveSoftlyMs)
        return nil
      case .ends(let asked):
        Self.refuse(requests + gateway.takeReloadRequests(), "the gateway is ending")
        end(with: standby, asked)
        return nil
      case .failed(let how):
        return comeBack(standby, how, isHungUp)
      }
    }
  }

  private func comeBack(_ standby: Upgrading.Standby, _ how: String, _ isHungUp: Bool) -> Back {
    let successor = standby.watch.successor
    successor.end()
    gateway.comeBack(but: standby.left)
    gateway.noteFailedUpgrade(.takenBack)
    say(
      .error(
        "tollgate: process \(successor.process) had taken over and did not last: \(how); "
          + "this process serves again, and only what that one had accepted is lost"))
    manager.tellSuccessor(getpid())
    if let reloading {
      manager.tellReady("\(reloading.status); the last upgrade was taken back")
    }
    Signals.send(.foldersTouched, to: getpid())
    return Back(signal: isHungUp ? .hangUp : nil)
  }

  /// The other process goes on: serves what is here to its end.
  private func leave(softlyUntilMs: Int64) {
    while gateway.connectionCount > 0, nowMs < softlyUntilMs {
      switch Signals.next(withinMs: 20) {
      case .terminate, .interrupt: return gateway.stop()
      case .user1: gateway.reopenLogs()
      case .user2, .hangUp, .bell, .foldersTouched, nil: break
      }
    }
    drain(graceMs: shutdown.graceMs)
  }

  /// Ends, and waits for the other process, which ends as well: until it has gone this one is the
  /// service for whoever looks after it, who might kill what is left when it ends.
  private func end(with standby: Upgrading.Standby, _ asked: Probation.Asked) {
    let successor = standby.watch.successor
    if asked == .old {
      // No signal: it may have had one, and a second one would cut its requests. Where it is gone
      // there is nobody to tell.
      try? standby.watch.channel.send(Takeover.endWord)
    }
    manager.tellStopping("Finishing requests")
    say(
      .info(
        "tollgate: ending, and process \(successor.process) is as well; "
          + "requests under way are finished"))
    gateway.leave(standby.left)
    // Whoever ends a group of processes tells each.
    var told = asked == .old ? 1 : 0
    drain(graceMs: shutdown.graceMs, told: &told)
    var untilMs = Int64.max
    while successor.ending() == nil, nowMs < untilMs {
      if told > 1 {
        // Again and again: the first may have come before it has read that it is to end.
        Signals.send(.terminate, to: successor.process)
        untilMs = min(untilMs, nowMs + Limits.atOnceMs)
      }
      switch Signals.next(withinMs: 20) {
      case .terminate, .interrupt: told += 1
      case .user1, .user2, .hangUp, .bell, .foldersTouched, nil: break
      }
    }
    successor.end()
  }
}
