/// How long things took, in constant memory: counts by size, each bucket at most 1.6 % wide.
package struct DurationHistogram {
  private var counts: [UInt32]
  package private(set) var count: UInt64 = 0
  package private(set) var maxMicros: Int64 = 0

  /// 64 buckets an octave, up to 2^42 µs, which is 51 days.
  private static let perOctaveBits = 6
  private static let octaves = 37

  package init() {
    counts = Array(repeating: 0, count: (Self.octaves + 1) << Self.perOctaveBits)
  }

  package mutating func add(_ micros: Int64) {
    let micros = max(0, micros)
    count += 1
    maxMicros = max(maxMicros, micros)
    let bucket = min(Self.bucket(of: UInt64(micros)), counts.count - 1)
    counts[bucket] = counts[bucket] &+ 1
  }

  /// The duration that `part` of all are no longer than, in microseconds: nearest rank.
  package func quantile(_ part: Double) -> Int64 {
    guard count > 0 else { return 0 }
    let rank = max(1, UInt64((part * Double(count)).rounded(.up)))
    var seen: UInt64 = 0
    for (bucket, number) in counts.enumerated() {
      seen += UInt64(number)
      if seen >= rank { return min(Self.middle(of: bucket), maxMicros) }
    }
    return maxMicros
  }

  private static func bucket(of value: UInt64) -> Int {
    if value < 1 << perOctaveBits { return Int(value) }
    let exponent = 63 - value.leadingZeroBitCount - perOctaveBits
    return (exponent + 1) << perOctaveBits + Int(value >> UInt64(exponent)) - 1 << perOctaveBits
  }

  private static func middle(of bucket: Int) -> Int64 {
    if bucket < 1 << perOctaveBits { return Int64(bucket) }
    let exponent = bucket >> perOctaveBits - 1
    let low = Int64(bucket & (1 << perOctaveBits - 1) + 1 << perOctaveBits) << Int64(exponent)
    return low + (Int64(1) << Int64(exponent)) / 2
  }
}
