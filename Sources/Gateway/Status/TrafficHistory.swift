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
    /// In milliseconds; nil without requests, and beyond the last bucket.
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
        let durations = now.durations.since(before.durations)
        state.samples.append(
          Sample(
            endedAtMs: nowMs, requests: durations.count,
            refused: now.refused &- before.refused, failed: now.failed &- before.failed,
            medianMs: durations.quantileMs(0.5), p99Ms: durations.quantileMs(0.99)))
        if state.samples.count > Self.samplesMax { state.samples.removeFirst() }
      }
      state.before = now
    }
  }

  var samples: [Sample] { state.withLock { $0.samples } }
}

/// All requests together.
struct RequestTotals {
  var refused: UInt64 = 0
  var failed: UInt64 = 0
  var durations = DurationNumbers(DurationTally.requestBoundsMs)
}

extension RequestNumbers {
  var totals: RequestTotals {
    var totals = RequestTotals()
    for (_, numbers) in byRoute {
      for (kind, durations) in numbers.kinds {
        totals.durations.add(durations)
        if kind.reason != nil { totals.refused += durations.count }
        if kind.status >= 500 { totals.failed += durations.count }
      }
    }
    return totals
  }
}
