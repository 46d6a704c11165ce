import Synchronization

/// The traffic of the last minutes, in samples of some seconds, for the status page's plots.
final class TrafficHistory: Sendable {
  /// A sample is taken so often, and so many are kept: ten minutes.
  static let everyMs: Int64 = 5_000
  static let samplesMax = 120

  struct Sample {
    /// Milliseconds since 1970, at its end.
    let endedAtMs: Int64
    let requests: UInt64
    let refused: UInt64
    /// Answers of 500 and above.
    let failed: UInt64
    /// Latencies in milliseconds; nil without requests, and beyond the last bucket.
    let medianMs: Double?
    let p99Ms: Double?
  }

  private struct State {
    var samples: [Sample] = []
    var before: RequestTotals?
  }

  private let state = Mutex(State())

  /// Takes a sample: what came since the last one.
  func take(_ now: RequestTotals, atMs nowMs: Int64) {
    state.withLock { state in
      if let before = state.before {
        let latencies = now.latencies.since(before.latencies)
        state.samples.append(
          Sample(
            endedAtMs: nowMs, requests: now.requests &- min(now.requests, before.requests),
            refused: now.refused &- before.refused, failed: now.failed &- before.failed,
            medianMs: latencies.quantileMs(0.5), p99Ms: latencies.quantileMs(0.99)))
        if state.samples.count > Self.samplesMax { state.samples.removeFirst() }
      }
      state.before = now
    }
  }

  var samples: [Sample] { state.withLock { $0.samples } }
}

/// Requests together, as people are shown them: of a route, or all.
struct RequestTotals {
  private(set) var requests: UInt64 = 0
  private(set) var refused: UInt64 = 0
  private(set) var failed: UInt64 = 0
  /// By reason.
  private(set) var reasons: [Refusal.Reason: UInt64] = [:]
  /// Of all but tunnels; long answers by when they began (`LongAnswers`).
  private(set) var latencies = DurationNumbers(DurationTally.requestBoundsMs)

  mutating func add(_ numbers: RouteNumbers) {
    var own = DurationNumbers(DurationTally.requestBoundsMs)
    // First: what is moved must be there already.
    let begins = numbers.begins
    for (kind, durations) in numbers.kinds {
      let count = durations.count
      requests += count
      if let reason = kind.reason {
        refused += count
        reasons[reason, default: 0] += count
      }
      if kind.status >= 500 { failed += count }
      if kind.status != LongAnswers.tunnelStatus { own.add(durations) }
    }
    own.moveLongest(to: begins)
    latencies.add(own)
  }
}

extension RequestNumbers {
  var totals: RequestTotals {
    var totals = RequestTotals()
    for (_, numbers) in byRoute { totals.add(numbers) }
    return totals
  }
}
