/// A worker's idle connections, the one that idles longest first.
///
/// An entry is good while its connection idles since that very time; those that woke meanwhile are
/// dropped when they are met, or when they have become many.
struct IdleQueue {
  private var entries: [(serial: UInt64, sinceMs: Int64)] = []
  private var first = 0
  /// As many entries as this are looked through for those that are no longer good.
  private var sweepAt = 1_024

  var count: Int { entries.count - first }

  /// Notes that a connection idles from now on.
  mutating func append(
    _ serial: UInt64, sinceMs: Int64, isStillIdle: (UInt64, Int64) -> Bool
  ) {
    entries.append((serial, sinceMs))
    guard entries.count >= sweepAt else { return }
    entries = entries[first...].filter { isStillIdle($0.serial, $0.sinceMs) }
    first = 0
    // As much again must come before the next look, so that each entry pays for a few.
    sweepAt = max(1_024, entries.count * 2)
  }

  /// Takes out the connection that idles longest, if it does since `longestMs` or before.
  mutating func takeFirst(
    since longestMs: Int64, isStillIdle: (UInt64, Int64) -> Bool
  ) -> UInt64? {
    while first < entries.count {
      let entry = entries[first]
      let isGood = isStillIdle(entry.serial, entry.sinceMs)
      if isGood, entry.sinceMs > longestMs { return nil }
      first += 1
      if isGood { return entry.serial }
    }
    return nil
  }
}

/// How many callers a worker tells at once that there is no connection left for them. It must not
/// become the way to hold the door after all.
struct ShedBudget {
  private var underWay = 0
  private var second: Int64 = 0
  private var handshakes = 0

  /// - Returns: whether one more is told; `give` is to be called then when it was.
  mutating func take(handshake: Bool, nowMs: Int64) -> Bool {
    guard underWay < Limits.shedsMax else { return false }
    if handshake {
      if nowMs / 1_000 != second {
        second = nowMs / 1_000
        handshakes = 0
      }
      guard handshakes < Limits.shedHandshakesPerSecond else { return false }
      handshakes += 1
    }
    underWay += 1
    return true
  }

  mutating func give() { underWay -= 1 }
}
