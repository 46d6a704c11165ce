import Synchronization

/// The last requests that were turned away, for those who ask why.
///
/// Each worker has a ring of its own. A flood of refusals is not written down as it comes: of one
/// second's only the first few are.
final class LastRefusals: Sendable {
  struct Entry {
    /// Milliseconds since 1970.
    let atMs: Int64
    let status: Int
    let reason: Refusal.Reason
    let route: String?
    let method: [UInt8]
    let host: [UInt8]
    /// Without the query.
    let path: [UInt8]
    let client: [UInt8]
    let id: [UInt8]
    /// What the token service said; empty where it was not asked.
    let exchangeError: [UInt8]
  }

  private static let entriesMax = 50
  private static let textBytesMax = 256

  private struct Ring {
    var entries: [Entry] = []
    var next = 0
  }

  private let rings = Mutex<[Int: Ring]>([:])

  /// How many more a worker may note in this second.
  struct Allowance {
    private static let perSecond = 20
    private var second = Int64.min
    private var noted = 0

    mutating func take(atMs nowMs: Int64) -> Bool {
      if nowMs / 1_000 != second {
        second = nowMs / 1_000
        noted = 0
      }
      noted += 1
      return noted <= Self.perSecond
    }
  }

  func note(_ entry: Entry, worker: Int) {
    rings.withLock { rings in
      var ring = rings[worker] ?? Ring()
      rings[worker] = nil
      if ring.entries.count < Self.entriesMax {
        ring.entries.append(entry)
      } else {
        ring.entries[ring.next] = entry
      }
      ring.next = (ring.next + 1) % Self.entriesMax
      rings[worker] = ring
    }
  }

  /// The newest first.
  var entries: [Entry] {
    let all = rings.withLock { $0.values.flatMap(\.entries) }
    return Array(all.sorted { $0.atMs > $1.atMs }.prefix(Self.entriesMax))
  }

  static func cut(_ bytes: [UInt8]) -> [UInt8] { Array(bytes.prefix(textBytesMax)) }
}
