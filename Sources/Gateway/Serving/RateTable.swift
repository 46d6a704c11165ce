import Crypto
import Synchronization

/// One request's place in one limit.
struct RateTake: Sendable {
  let key: SHA256Digest
  let intervalNs: Int64
  let toleranceNs: Int64

  init(key: SHA256Digest, _ limit: RateLimit) {
    self.init(key: key, intervalNs: limit.intervalNs, toleranceNs: limit.toleranceNs)
  }

  init(key: SHA256Digest, intervalNs: Int64, toleranceNs: Int64) {
    self.key = key
    self.intervalNs = intervalNs
    self.toleranceNs = toleranceNs
  }
}

/// The counts of all rate limits, for all workers, and longer than any configuration: a limit that
/// a reload keeps goes on where it was.
///
/// Each count is one number, the time at which all requests so far will have been paid for (GCRA,
/// ITU-T I.371): a request that comes earlier than that by more than the burst allows is one too
/// many. A count whose time has come says nothing any more; with each new one two others are looked
/// at and taken out if they have come to that, so the table is no larger than what is in use.
final class RateTable: Sendable {
  private final class Shard: Sendable {
    let counts: Mutex<RateCounts>
    init(countMax: Int) { counts = Mutex(RateCounts(countMax: countMax)) }
  }

  private static let shardCount = 16
  private let shards: [Shard]

  init(countMax: Int = Limits.rateCountsMax) {
    shards = (0..<Self.shardCount).map { _ in Shard(countMax: max(8, countMax / Self.shardCount)) }
  }

  /// Takes a place.
  ///
  /// - Returns: 0, or nanoseconds until there is one.
  func take(_ take: RateTake, nowNs: Int64) -> Int64 {
    shard(of: take.key).counts.withLock { $0.take(take, nowNs: nowNs) }
  }

  /// Gives a place back that was not used after all.
  func giveBack(_ take: RateTake) {
    shard(of: take.key).counts.withLock { $0.giveBack(take) }
  }

  /// How many counts there are.
  var count: Int { shards.reduce(0) { sum, shard in sum + shard.counts.withLock { $0.count } } }

  private func shard(of key: SHA256Digest) -> Shard {
    shards[Int(key.words.3 % UInt64(Self.shardCount))]
  }
}

/// One shard's counts.
private struct RateCounts {
  private struct Slot {
    let key: SHA256Digest
    /// When all that was taken will have been paid for.
    var paidAtNs: Int64
  }

  /// Slots looked at when one is needed and all are taken.
  private static let evictionSample = 8

  private let countMax: Int
  private var index: [SHA256Digest: Int32] = [:]
  private var slots: [Slot] = []
  private var hand = 0

  init(countMax: Int) { self.countMax = countMax }

  var count: Int { slots.count }

  mutating func take(_ take: RateTake, nowNs: Int64) -> Int64 {
    if let at = index[take.key] {
      let dueNs = max(slots[Int(at)].paidAtNs, nowNs)
      let earlyNs = dueNs - nowNs - take.toleranceNs
      if earlyNs > 0 { return earlyNs }
      slots[Int(at)].paidAtNs = dueNs + take.intervalNs
      return 0
    }
    makeRoom(nowNs: nowNs)
    index[take.key] = Int32(slots.count)
    slots.append(Slot(key: take.key, paidAtNs: nowNs + take.intervalNs))
    return 0
  }

  mutating func giveBack(_ take: RateTake) {
    if let at = index[take.key] { slots[Int(at)].paidAtNs -= take.intervalNs }
  }

  private mutating func makeRoom(nowNs: Int64) {
    for _ in 0..<2 where !slots.isEmpty {
      if hand >= slots.count { hand = 0 }
      if slots[hand].paidAtNs <= nowNs { remove(hand) } else { hand += 1 }
    }
    guard slots.count >= countMax else { return }
    // Of some, the one that would be nothing soonest: who is far over a limit stays so.
    var soonest = hand % slots.count
    for step in 1..<Self.evictionSample {
      let at = (hand + step) % slots.count
      if slots[at].paidAtNs < slots[soonest].paidAtNs { soonest = at }
    }
    hand += Self.evictionSample
    remove(soonest)
  }

  /// The last one takes its place.
  private mutating func remove(_ at: Int) {
    index[slots[at].key] = nil
    let last = slots.removeLast()
    guard at < slots.count else { return }
    slots[at] = last
    index[last.key] = Int32(at)
  }
}
