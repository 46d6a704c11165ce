import Reactor
import Synchronization

/// What a gateway does when another process takes over from it, and when it takes over from one.
///
///     this one                                the new one
///                                             start, open: accepts
///     rest: accepts no more
///     comeBack: accepts again                 (it is gone)
///     leave: closes its doors                 openMore
///
/// From `open` to the end both have the sockets. A connection that waits at one is either's, so
/// that it is lost with neither.
extension Gateway {
  /// What a process that takes over is to be told of the doors and keys of this one.
  package var legacy: Legacy {
    running.withLock { Legacy(doors: $0.doors, tickets: process.tickets) }
  }

  /// Those of the doors handed over that this configuration has no use for.
  package func left(of inheritance: Inheritance) -> LeftDoors {
    let doors = running.withLock { $0.doors }
    return LeftDoors(Set(inheritance.sockets.keys.filter { doors[$0] == nil }))
  }

  /// Opens the doors of a gateway that was started to take over. Where one can't be opened to a
  /// worker, the operator is told, and the others serve.
  package func open() {
    accept { _, open, worker, count throws(SystemError) in
      if worker == 0 { try open.takeFile() }
      return try open.copies(for: worker, of: count)
    }
  }

  /// Gives those workers a socket that have none, because the process that handed over had fewer.
  /// To be called when that one does not come back any more: it has no copies of these, so what
  /// waits at them ends with this process.
  package func openMore() {
    var firsts: [Door: Int] = [:]
    for (door, open) in running.withLock({ $0.doors }) where door.isForCallers {
      firsts[door] = open.sockets.count
      do throws(SystemError) {
        try open.complete(workers: workers.count)
      } catch {
        process.report(.error("not every worker listens at \(open): \(error)"))
      }
    }
    accept { [firsts] door, open, worker, count throws(SystemError) in
      guard let first = firsts[door] else { return [] }
      return try open.copies(for: worker, of: count, from: first)
    }
  }

  /// Stops accepting, because another process does at the same sockets, but at the doors that it
  /// has left. Connections are served on; each is ended after its next answer. The sockets stay
  /// open here, so that none that waits at one is lost, whatever becomes of the other process.
  package func rest(but left: LeftDoors) {
    eachWorker { worker, _ in await worker.rest(but: left.doors) }
  }

  /// Accepts again after `rest`, first those that have waited.
  package func comeBack(but left: LeftDoors) {
    let running = running.withLock { $0 }
    let configuration = running.shared.configuration
    // The other process may have set another mode.
    for (name, listener) in zip(configuration.listenerDoors, configuration.listeners) {
      guard let open = running.doors[.listener(name)] else { continue }
      do throws(SystemError) {
        if case .unix = listener.address { try open.setMode(listener.socketMode) }
      } catch {
        process.report(.error("\(error)"))
      }
    }
    eachWorker { worker, _ in await worker.stopResting() }
    accept { door, open, worker, count throws(SystemError) in
      left.doors.contains(door) ? [] : try open.copies(for: worker, of: count)
    }
  }

  /// Closes all doors after `rest`, because the other process is to stay. What waits at one that it
  /// has left is served first, and the file of such a unix socket is removed.
  package func leave(_ left: LeftDoors) {
    for (door, open) in running.withLock({ $0.doors }) {
      if !left.doors.contains(door) { open.leaveFile() }
      open.close()
    }
    eachWorker { worker, _ in await worker.rest(but: []) }
  }

  /// Asks each worker for a sign of life, which it gives in its next turn.
  package func takePulse() -> Pulse {
    let pulse = Pulse(workers.count)
    for worker in workers { worker.loop.spawn { pulse.beat() } }
    return pulse
  }

  /// A new process did not take over for good.
  package func noteFailedUpgrade(_ failure: UpgradeRecord.Failure) {
    process.upgrades.note(failure)
  }

  /// Has the workers accept at more sockets.
  ///
  /// - Parameter sockets: one worker's at a door, of so many workers that accept there.
  private func accept(
    at sockets: (Door, OpenDoor, _ worker: Int, _ count: Int) throws(SystemError)
      -> [ListeningSocket.Bound]
  ) {
    let doors = running.withLock { $0.doors }
    var plans: [[Door: [ListeningSocket.Bound]]] = []
    for worker in workers.indices {
      var plan: [Door: [ListeningSocket.Bound]] = [:]
      for (door, open) in doors {
        let count = door.isForCallers ? workers.count : 1
        guard worker < count else { continue }
        do throws(SystemError) {
          plan[door] = try sockets(door, open, worker, count)
        } catch {
          process.report(.error("worker \(worker) does not listen at \(open): \(error)"))
        }
      }
      plans.append(plan)
    }
    let all = plans
    eachWorker { worker, index in await worker.open(all[index]) }
  }

  /// Has each worker do something at its next turn, and waits until all have.
  private func eachWorker(_ body: @escaping @Sendable (Worker, Int) async -> Void) {
    let done = Semaphore()
    for (index, worker) in workers.enumerated() {
      worker.loop.spawn {
        await body(worker, index)
        done.signal()
      }
    }
    for _ in workers { done.wait(milliseconds: Limits.adoptMs) }
  }
}

/// Whether all workers run, asked once.
package final class Pulse: Sendable {
  private let missing: Atomic<Int>

  init(_ workers: Int) { missing = Atomic(workers) }

  func beat() { missing.subtract(1, ordering: .relaxed) }

  /// Whether each has had a turn since.
  package var isWhole: Bool { missing.load(ordering: .relaxed) <= 0 }
}
