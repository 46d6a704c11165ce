import HTTP
import Reactor

/// One worker's look at how far it is behind, and what it turns away for it.
///
/// The loop tells how long what is ready waits, at the end of each window; between the windows a
/// request costs a look at a flag. Connections that are served already, answers under way, probes
/// and the admin address are never turned away, and readiness is none of its business: a worker
/// that has too much to do is not helped by giving all of it to the next gateway.
final class Overload {
  /// Whether what is ready waits longer than it should: new callers and handshakes wait for it.
  private(set) var isBehind = false
  /// Whether some requests are turned away, and whether some of those with tokens that are known.
  private(set) var isShedding = false
  private(set) var isSheddingKnown = false
  /// Whether each connection has one request in a turn: while it is behind, and so long afterwards
  /// that those who had it behind don't have it so again at once.
  private(set) var isTight = false

  private var control: OverloadControl
  private let index: Int
  private let process: ProcessState
  private var shedCount = 0
  private var calmWindows = 0
  private var saidAtMs = Int64.min / 2

  init(_ process: ProcessState, index: Int) {
    self.process = process
    self.index = index
    control = OverloadControl(seed: UInt64.random(in: 0 ... .max))
  }

  /// A window of the loop's has ended.
  func endWindow(standingMs: Int64) {
    // In a loop that is abreast it has nothing to do.
    if standingMs == 0, !isBehind, !isShedding, !isTight, shedCount == 0 { return }
    let nowNs = Clock.monotonicNs()
    control.endWindow(standingMs: standingMs, nowNs: nowNs)
    isBehind = standingMs > 0
    calmWindows = isBehind ? 0 : calmWindows + 1
    isTight = isBehind || isTight && calmWindows < Limits.tightWindows
    isShedding = control.isShedding
    isSheddingKnown = control.knownShare < OverloadControl.whole
    process.waits.note(standingMs, worker: index)
    tell(standingMs: standingMs, nowMs: nowNs / 1_000_000)
  }

  /// Turns a request away, before anything is done for it that costs, where there are too many.
  func checkKnown(_ request: Request) throws(Refusal) {
    try checkPresence(of: request)
    if control.admitsKnown(atNs: request.record.startedNs) { return }
    throw shed()
  }

  /// Turns away a request whose token would have to be verified, or exchanged.
  func checkCold(_ request: Request) throws(Refusal) {
    try checkPresence(of: request)
    if control.admitsCold(atNs: request.record.startedNs) { return }
    throw shed()
  }

  /// Who waited too long and has gone is served by nobody: of a queue that may be the most.
  private func checkPresence(of request: Request) throws(Refusal) {
    if request.connection.stream.socket.hasPeerEnded { throw Refusal(.callerGone) }
  }

  /// Counts what work it was to turn a request away.
  func noteShed(ns: Int64) { control.noteShed(ns: ns) }

  private func shed() -> Refusal {
    shedCount += 1
    var refusal = Refusal.overloaded
    // A new connection would cost more than this request.
    refusal.isShed = true
    return refusal
  }

  /// Tells the operator, now and then.
  private func tell(standingMs: Int64, nowMs: Int64) {
    guard shedCount > 0, nowMs - saidAtMs >= Limits.shedReportEveryMs else { return }
    saidAtMs = nowMs
    let wait = standingMs > 0 ? "its work waits \(standingMs) ms" : "it has caught up"
    process.report(
      .warning(
        "worker \(index) had more to do than it can and turned \(shedCount) requests away "
          + "(503 overloaded); \(wait)"))
    shedCount = 0
  }
}
