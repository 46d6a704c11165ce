import Reactor
import Synchronization

/// What one worker counts of its callers' TLS handshakes. Only that worker writes; whoever gathers
/// the numbers reads them at any time.
final class HandshakeTally: Sendable {
  enum Outcome: Int, CaseIterable, Sendable {
    case completed
    /// From an earlier session.
    case resumed
    /// By what one of the two sent, or the connection's end.
    case failed
    /// The caller spoke HTTP in the clear.
    case clearText
    /// It was not done in time, or gave its place to others'.
    case timedOut

    var word: String {
      switch self {
      case .completed: "completed"
      case .resumed: "resumed"
      case .failed: "failed"
      case .clearText: "clear-text"
      case .timedOut: "timed-out"
      }
    }
  }

  /// Versions that a listener speaks; of a handshake that came to no end it is not known.
  enum Version: Int, CaseIterable, Sendable {
    case none, tls12, tls13

    /// As OpenTelemetry's `tls.protocol.version` has it.
    var word: String {
      switch self {
      case .none: "none"
      case .tls12: "1.2"
      case .tls13: "1.3"
      }
    }
  }

  private let counts = Version.allCases.map { _ in Outcome.allCases.map { _ in Count() } }
  /// Of those that were done, without the time in which nothing had been said yet.
  fileprivate let durations = DurationTally()

  /// Counts a handshake that is done.
  ///
  /// - Parameter ns: since its first byte.
  func count(_ session: TLSSession, ns: Int64) {
    let version: Version = session.version == "TLSv1.2" ? .tls12 : .tls13
    counts[version.rawValue][(session.isResumed ? Outcome.resumed : .completed).rawValue]
      .increment()
    durations.add(ns: ns)
  }

  /// Counts one that is not.
  func count(_ outcome: Outcome) { counts[Version.none.rawValue][outcome.rawValue].increment() }

  fileprivate func value(_ version: Version, _ outcome: Outcome) -> UInt64 {
    counts[version.rawValue][outcome.rawValue].value
  }
}

/// The tallies of all workers.
final class HandshakeTallies: Sendable {
  private let tallies = Mutex<[HandshakeTally]>([])

  /// Another worker's.
  func makeTally() -> HandshakeTally {
    let tally = HandshakeTally()
    tallies.withLock { $0.append(tally) }
    return tally
  }

  /// Callers' handshakes and how long they took, for Prometheus.
  func write(to text: inout MetricsText) {
    let tallies = tallies.withLock { $0 }
    text.begin(
      "tollgate_tls_handshakes_total", .counter,
      "Callers' TLS handshakes, by the version agreed on and how they ended.")
    for version in HandshakeTally.Version.allCases {
      let outcomes: [HandshakeTally.Outcome] =
        version == .none ? [.failed, .clearText, .timedOut] : [.completed, .resumed]
      for outcome in outcomes {
        text.sample(
          tallies.reduce(0) { $0 + $1.value(version, outcome) },
          [("version", version.word), ("outcome", outcome.word)])
      }
    }
    text.begin(
      "tollgate_tls_handshake_duration_seconds", .histogram,
      "TLS handshakes that were done, from the caller's first byte on.")
    var durations = DurationNumbers()
    for tally in tallies { durations.add(tally.durations) }
    text.sample(durations)
  }
}
