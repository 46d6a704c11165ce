import Reactor

/// A worker's connections whose TLS handshake has not ended yet, the one that came first first.
///
/// Who has said nothing, or begun a handshake and stopped, costs its caller less than anything
/// else; where there is no connection left, the oldest of them gives way to a new one.
struct Newcomers {
  final class Newcomer {
    fileprivate let waiter: Waiter
    fileprivate let sinceMs: Int64
    /// Its handshake's way, once it has said something.
    var place: HandshakePlaces.Place?
    /// Whether another one has its connection's place: it must end.
    private(set) var isGivenUp = false

    fileprivate init(_ waiter: Waiter, sinceMs: Int64) {
      self.waiter = waiter
      self.sinceMs = sinceMs
    }

    fileprivate func giveUp() {
      isGivenUp = true
      place?.isGivenUp = true
      waiter.signal()
    }
  }

  private var present: [UInt64: Newcomer] = [:]
  private var queue = IdleQueue()

  var count: Int { present.count }

  /// - Parameter serial: names the connection; never used twice.
  mutating func enter(_ serial: UInt64, _ waiter: Waiter, nowMs: Int64) -> Newcomer {
    let newcomer = Newcomer(waiter, sinceMs: nowMs)
    present[serial] = newcomer
    let present = present
    queue.append(serial, sinceMs: nowMs) { serial, _ in present[serial] != nil }
    return newcomer
  }

  mutating func leave(_ serial: UInt64) { present[serial] = nil }

  /// Has the oldest one end, if it came at `longestMs` or before.
  ///
  /// - Returns: whether there was one.
  mutating func giveUpOldest(since longestMs: Int64) -> Bool {
    let present = present
    guard
      let serial = queue.takeFirst(
        since: longestMs, isStillIdle: { serial, _ in present[serial] != nil })
    else { return false }
    present[serial]?.giveUp()
    return true
  }
}
