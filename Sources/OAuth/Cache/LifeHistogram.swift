/// Finds the median of very many durations in one pass and little room: counts by buckets whose
/// widths are a sixteenth of what they hold, so that the answer is right to 6 %.
struct LifeHistogram {
  private static let stepsPerDoubling = 16
  // 2^47 ms are 4,000 years.
  private var counts = [Int](repeating: 0, count: 44 * stepsPerDoubling)
  private var total = 0

  /// - Parameter milliseconds: what has ended already is not counted.
  mutating func add(_ milliseconds: Int64) {
    guard milliseconds > 0 else { return }
    counts[min(Self.bucket(of: milliseconds), counts.count - 1)] += 1
    total += 1
  }

  /// The upper end of the bucket in which the median is; nil of nothing.
  var medianMs: Int64? {
    guard total > 0 else { return nil }
    var seen = 0
    for (bucket, count) in counts.enumerated() {
      seen += count
      if 2 * seen >= total { return Self.upperEnd(of: bucket) }
    }
    return nil
  }

  private static func bucket(of value: Int64) -> Int {
    if value < Int64(stepsPerDoubling) { return Int(value) }
    let doubling = 63 - value.leadingZeroBitCount - 4
    return (doubling + 1) * stepsPerDoubling + Int(value >> Int64(doubling)) - stepsPerDoubling
  }

  private static func upperEnd(of bucket: Int) -> Int64 {
    if bucket < stepsPerDoubling { return Int64(bucket) }
    let doubling = bucket / stepsPerDoubling - 1
    let step = Int64(bucket % stepsPerDoubling + stepsPerDoubling)
    return (step + 1) << Int64(doubling)
  }
}
