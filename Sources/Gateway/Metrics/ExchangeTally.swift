import Synchronization

/// What one worker counts of one exchange. Only that worker writes, so that counting costs a load
/// and a store; whoever gathers the numbers reads them at any time.
final class ExchangeTally: Sendable {
  private let outcomes: [Count]
  let calls = DurationTally()

  init() { outcomes = AccessRecord.Exchange.allCases.map { _ in Count() } }

  /// Counts a request by how it came by its token.
  func count(_ outcome: AccessRecord.Exchange) { outcomes[outcome.rawValue].increment() }

  /// Counts a call to the token service and how long it took, everything sent again included.
  func countCall(ns: Int64) { calls.add(ns: ns) }

  func requests(_ outcome: AccessRecord.Exchange) -> UInt64 { outcomes[outcome.rawValue].value }
}

/// The tallies of one exchange, one for each worker. They outlive a worker's engine: a reload sets
/// no number back.
final class ExchangeTallies: Sendable {
  private let byWorker = Mutex<[Int: ExchangeTally]>([:])

  func tally(of worker: Int) -> ExchangeTally {
    byWorker.withLock { tallies in
      if let tally = tallies[worker] { return tally }
      let tally = ExchangeTally()
      tallies[worker] = tally
      return tally
    }
  }

  /// All workers' numbers together.
  func sum() -> ExchangeNumbers {
    let tallies = byWorker.withLock { Array($0.values) }
    var numbers = ExchangeNumbers()
    for tally in tallies {
      for outcome in AccessRecord.Exchange.allCases {
        numbers.requests[outcome, default: 0] += tally.requests(outcome)
      }
      numbers.calls.add(tally.calls)
    }
    return numbers
  }
}

/// What all workers counted of one exchange.
struct ExchangeNumbers {
  var requests: [AccessRecord.Exchange: UInt64] = [:]
  var calls = DurationNumbers()

  func requests(_ outcome: AccessRecord.Exchange) -> UInt64 { requests[outcome] ?? 0 }
}

/// A number that one thread counts up and others read.
final class Count: Sendable {
  private let count = Atomic<UInt64>(0)

  var value: UInt64 { count.load(ordering: .relaxed) }

  /// To be called by the thread whose number it is.
  func increment(by step: UInt64 = 1) {
    count.store(count.load(ordering: .relaxed) &+ step, ordering: .relaxed)
  }
}

/// How long something took, by one thread: a histogram with OpenTelemetry's buckets.
final class DurationTally: Sendable {
  /// Upper ends in milliseconds; what took longer is in one more bucket (OpenTelemetry's semantic
  /// conventions for HTTP metrics).
  static let boundsMs: [Double] = [
    5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000,
  ]

  /// Of callers' requests: finer where a warm one ends, for those who look at it.
  static let requestBoundsMs: [Double] = [0.1, 0.25, 0.5, 1, 2.5] + boundsMs

  /// Of what takes microseconds where all is well.
  static let shortBoundsMs: [Double] = [
    0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000,
  ]

  fileprivate let boundsMs: [Double]
  fileprivate let buckets: [Count]
  fileprivate let totalNs = Count()

  init(_ boundsMs: [Double] = DurationTally.boundsMs) {
    self.boundsMs = boundsMs
    buckets = (0...boundsMs.count).map { _ in Count() }
  }

  func add(ns: Int64) {
    let milliseconds = Double(ns) / 1_000_000
    var index = 0
    while index < boundsMs.count, milliseconds > boundsMs[index] { index += 1 }
    buckets[index].increment()
    totalNs.increment(by: UInt64(max(0, ns)))
  }
}

/// Durations of all workers together.
struct DurationNumbers {
  let boundsMs: [Double]
  private(set) var buckets: [UInt64]
  private(set) var totalNs: UInt64 = 0

  /// - Parameter boundsMs: those of the tallies that are added.
  init(_ boundsMs: [Double] = DurationTally.boundsMs) {
    self.boundsMs = boundsMs
    buckets = [UInt64](repeating: 0, count: boundsMs.count + 1)
  }

  var count: UInt64 { buckets.reduce(0, +) }

  mutating func add(_ tally: DurationTally) {
    for index in buckets.indices { buckets[index] += tally.buckets[index].value }
    totalNs &+= tally.totalNs.value
  }

  /// The same in fewer buckets, whose bounds must be among these.
  func merged(to bounds: [Double]) -> DurationNumbers {
    var merged = DurationNumbers(bounds)
    merged.totalNs = totalNs
    for (index, count) in buckets.enumerated() {
      let upper = index < boundsMs.count ? boundsMs[index] : .infinity
      merged.buckets[bounds.firstIndex { upper <= $0 } ?? bounds.count] += count
    }
    return merged
  }

  mutating func add(_ other: DurationNumbers) {
    for index in buckets.indices where index < other.buckets.count {
      buckets[index] += other.buckets[index]
    }
    totalNs &+= other.totalNs
  }

  /// Has so many of the longest durations stand where `others` do.
  mutating func moveLongest(to others: DurationNumbers) {
    let last = buckets.count - 1
    buckets[last] -= min(buckets[last], others.count)
    add(others)
  }

  /// What came after `earlier`, of the same tallies. Where one of them has gone since, no less than
  /// nothing.
  func since(_ earlier: DurationNumbers) -> DurationNumbers {
    var rest = self
    for index in buckets.indices where index < earlier.buckets.count {
      rest.buckets[index] -= min(buckets[index], earlier.buckets[index])
    }
    rest.totalNs = totalNs &- earlier.totalNs
    return rest
  }

  /// The upper end of the bucket that `part` (0 to 1) of the durations reach; nil of none, and of
  /// those that took longer than all bounds.
  func quantileMs(_ part: Double) -> Double? {
    let total = count
    guard total > 0 else { return nil }
    var seen: UInt64 = 0
    for (index, bound) in boundsMs.enumerated() {
      seen += buckets[index]
      if Double(seen) >= part * Double(total) { return bound }
    }
    return nil
  }
}
