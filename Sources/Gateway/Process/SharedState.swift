import HTTP
import OAuth
import Reactor
import Synchronization

/// What all workers share, because every limit of the routes file is for the whole process and a
/// token costs one signature check and one exchange a process, not a core.
package final class SharedState: Sendable {
  let configuration: Configuration
  let configDigest: String
  let resolver = Resolver()
  let listenerContexts: [TLSServerContext?]
  /// By upstream.
  let upstreamContexts: [TLSClientContext?]
  /// By upstream and server.
  let upstreamCounts: [[ConnectionCount]]
  let tokens: SharedTokens
  let logWriter: LogWriter?
  let warnings: [PlacedProblem]
  let report: @Sendable (String) -> Void

  private let connections = Atomic<Int>(0)
  private let draining = Atomic<Bool>(false)
  private let shortageReportedMs = Atomic<Int64>(Int64.min / 2)

  init(
    configuration: Configuration, configDigest: String, listenerContexts: [TLSServerContext?],
    upstreamContexts: [TLSClientContext?], tokens: SharedTokens, logWriter: LogWriter?,
    warnings: [PlacedProblem],
    report: @escaping @Sendable (String) -> Void
  ) {
    self.configuration = configuration
    self.configDigest = configDigest
    self.listenerContexts = listenerContexts
    self.upstreamContexts = upstreamContexts
    self.tokens = tokens
    self.logWriter = logWriter
    self.warnings = warnings
    self.report = report
    upstreamCounts = configuration.upstreams.map { upstream in
      upstream.servers.map { _ in
        ConnectionCount(max: upstream.connectionsMax, queue: Limits.upstreamQueueMax)
      }
    }
  }

  /// Whether the process is ending.
  var isDraining: Bool { draining.load(ordering: .relaxed) }

  func beginDraining() { draining.store(true, ordering: .relaxed) }

  /// Tells the operator that connections can't be accepted, for all workers at most once in
  /// `Limits.shortageReportEveryMs`.
  func reportShortage(_ error: SystemError, nowMs: Int64) {
    let lastMs = shortageReportedMs.load(ordering: .relaxed)
    guard nowMs - lastMs >= Limits.shortageReportEveryMs,
      shortageReportedMs.compareExchange(
        expected: lastMs, desired: nowMs, ordering: .relaxed
      ).exchanged
    else { return }
    report("can't accept connections: \(error)")
  }

  /// Counts a caller's connection in; false when that is one too many.
  func takeConnection() -> Bool {
    if connections.add(1, ordering: .relaxed).newValue <= configuration.limits.connectionsMax {
      return true
    }
    connections.subtract(1, ordering: .relaxed)
    return false
  }

  func giveConnection() { connections.subtract(1, ordering: .relaxed) }

  /// Callers' connections that are open.
  var connectionCount: Int { connections.load(ordering: .relaxed) }
}
