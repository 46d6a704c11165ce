import HTTP
import Reactor
import Synchronization

/// What outlives every configuration: counts that are of the whole process, and what it would be a
/// loss to begin anew at a reload.
final class ProcessState: Sendable {
  let resolver = Resolver()
  let files = FileReader()
  let tickets: TicketKeys
  let rates = RateTable()
  let config = ConfigRecord()
  let upgrades = UpgradeRecord()
  let reloads = ReloadRequests()
  let report: Report
  let requests = RequestNumbers()
  let history = TrafficHistory()
  let refusals = LastRefusals()
  let traces = TraceNumbers()
  let handshakes = HandshakeTallies()
  let waits = StandingWaits()

  private let connections = Atomic<Int>(0)
  private let draining = Atomic<Bool>(false)
  private let shortageReportedMs = Atomic<Int64>(Int64.min / 2)
  private let strangersReportedMs = Atomic<Int64>(Int64.min / 2)

  /// - Parameter tickets: those of a process that this one takes over from.
  init(tickets: TicketKeys? = nil, report: @escaping Report) {
    self.tickets = tickets ?? TicketKeys()
    self.report = report
  }

  /// Whether the process is ending.
  var isDraining: Bool { draining.load(ordering: .relaxed) }

  func beginDraining() { draining.store(true, ordering: .relaxed) }

  /// Tells the operator that connections can't be accepted, for all workers at most once in
  /// `Limits.shortageReportEveryMs`.
  func reportShortage(_ error: SystemError, nowMs: Int64) {
    guard isTime(shortageReportedMs, nowMs: nowMs) else { return }
    report(
      .error(
        "can't accept connections: \(error); raise the limit on open files (LimitNOFILE, "
          + "ulimit -n) or lower limits.connections"))
  }

  /// Tells the operator of a connection that was closed before it was anybody's, as seldom: what
  /// anybody can do by connecting must not fill the disk.
  func reportStrangers(_ text: @autoclosure () -> String, nowMs: Int64) {
    if isTime(strangersReportedMs, nowMs: nowMs) { report(.warning(text())) }
  }

  private func isTime(_ reportedMs: borrowing Atomic<Int64>, nowMs: Int64) -> Bool {
    let lastMs = reportedMs.load(ordering: .relaxed)
    return nowMs - lastMs >= Limits.shortageReportEveryMs
      && reportedMs.compareExchange(expected: lastMs, desired: nowMs, ordering: .relaxed).exchanged
  }

  /// Counts a caller's connection in; false when that is one too many.
  func takeConnection(max: Int) -> Bool {
    if connections.add(1, ordering: .relaxed).newValue <= max { return true }
    connections.subtract(1, ordering: .relaxed)
    return false
  }

  /// Counts one in for which another has just been told to end.
  func takeConnectionGivenUp() { connections.add(1, ordering: .relaxed) }

  func giveConnection() { connections.subtract(1, ordering: .relaxed) }

  /// Callers' connections that are open.
  var connectionCount: Int { connections.load(ordering: .relaxed) }
}

/// How long what is ready waits at each worker that is behind, for those who look.
final class StandingWaits: Sendable {
  private let byWorker = Mutex<[Int: Int64]>([:])

  /// - Parameter ms: 0 where the worker has caught up.
  func note(_ ms: Int64, worker: Int) {
    byWorker.withLock { $0[worker] = ms == 0 ? nil : ms }
  }

  /// The longest, in milliseconds.
  var longestMs: Int64 { byWorker.withLock { $0.values.max() ?? 0 } }
}
