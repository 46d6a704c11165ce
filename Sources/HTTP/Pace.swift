/// Whether a peer that is waited for moves bytes fast enough.
///
/// A longest pause alone lets a peer hold a connection for as long as it likes with a byte now and
/// then. So the bytes are counted too, in stretches of time *in which it was this peer that was
/// waited for*: a server that takes nothing does not make its caller slow. What was moved before
/// does not count for later, or a fast start would buy hours.
package struct Pace {
  /// How slow is too slow, and how long a stretch is: nobody is judged earlier.
  package static let bytesPerSecondMin: UInt64 = 1_024
  package static let stretchMs: Int64 = 30_000

  private var waitedMs: Int64 = 0
  private var countBefore: UInt64

  /// - Parameter byteCount: what it has moved before.
  package init(from byteCount: UInt64 = 0) { countBefore = byteCount }

  /// Notes that the peer was waited for.
  package mutating func wait(_ milliseconds: Int64) { waitedMs += milliseconds }

  /// Judges the peer, once a stretch.
  ///
  /// - Parameter byteCount: all that it has moved so far; asked for only when it is judged.
  package mutating func isTooSlow(
    at byteCount: @autoclosure () -> UInt64, stretchMs: Int64 = Self.stretchMs
  ) -> Bool {
    guard waitedMs >= stretchMs else { return false }
    let count = byteCount()
    let moved = count > countBefore ? count - countBefore : 0
    defer {
      waitedMs = 0
      countBefore = count
    }
    return moved * 1_000 < UInt64(waitedMs) * Self.bytesPerSecondMin
  }
}
