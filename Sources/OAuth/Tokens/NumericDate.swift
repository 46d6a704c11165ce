package import Wire

/// RFC 7519 §2's NumericDate, seconds since 1970 that may have a fraction, as milliseconds.
package enum NumericDate {
  /// The end of the year 9999. What lies beyond is as good as this, and no sum of it overflows.
  package static let latestMs: Int64 = 253_402_300_799_000

  /// Milliseconds since 1970, from 0 to `latestMs`; parts of one are dropped. Nil where the node is
  /// no number, or none that is finite.
  package static func milliseconds(_ node: JSONNode) -> Int64? {
    guard let number = node.number else { return nil }
    if let seconds = number.integer { return milliseconds(seconds: seconds) }
    // Beyond Int64, or with a fraction. A double holds milliseconds exactly until long after 9999.
    guard let seconds = number.double else { return nil }
    return Int64(min(max(seconds * 1_000, 0), Double(latestMs)))
  }

  /// A moment and a duration later, clamped in the same way: a sum that no settings make overflow.
  package static func sum(_ moment: Int64, _ durationMs: Int64) -> Int64 {
    let sum = moment.addingReportingOverflow(durationMs)
    return min(max(sum.overflow ? latestMs : sum.partialValue, 0), latestMs)
  }

  /// Whole seconds, clamped in the same way.
  package static func milliseconds(seconds: Int64) -> Int64 {
    min(max(seconds, 0), latestMs / 1_000) * 1_000
  }
}
