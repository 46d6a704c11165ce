import Crypto
import Synchronization

/// Sieve maps side by side, each behind a lock of its own, so that workers seldom meet. The digest
/// picks the shard by bits that the map's own hashing does not depend on.
final class ShardedCache<Value: Sendable>: Sendable {
  private final class Shard: Sendable {
    let map: Mutex<SieveMap<Value>>
    init(byteCostMax: Int) { map = Mutex(SieveMap(byteCostMax: byteCostMax)) }
  }

  private static var shardCountMax: Int { 16 }
  /// Below this a shard would hold a few tokens only, and evict in spite of empty neighbours.
  private static var shardByteCostMin: Int { 256 << 10 }

  private let shards: [Shard]

  /// `byteCostMax` is for all shards together.
  init(byteCostMax: Int) {
    let count = min(max(1, byteCostMax / Self.shardByteCostMin), Self.shardCountMax)
    shards = (0..<count).map { _ in Shard(byteCostMax: max(0, byteCostMax) / count) }
  }

  func find(_ key: SHA256Digest, nowMs: Int64) -> Value? {
    shard(of: key).map.withLock { $0.find(key, nowMs: nowMs) }
  }

  func insert(
    _ key: SHA256Digest, _ value: Value, byteCost: Int, endsAtMs: Int64, nowMs: Int64
  ) {
    shard(of: key).map.withLock {
      $0.insert(key, value, byteCost: byteCost, endsAtMs: endsAtMs, nowMs: nowMs)
    }
  }

  /// Puts a value in where `mayReplace` allows it, of a value that is there and has not ended.
  func insert(
    _ key: SHA256Digest, _ value: Value, byteCost: Int, endsAtMs: Int64, nowMs: Int64,
    where mayReplace: (Value) -> Bool
  ) {
    shard(of: key).map.withLock { map in
      if let present = map.find(key, nowMs: nowMs), !mayReplace(present) { return }
      map.insert(key, value, byteCost: byteCost, endsAtMs: endsAtMs, nowMs: nowMs)
    }
  }

  func remove(_ key: SHA256Digest) { shard(of: key).map.withLock { $0.remove(key) } }

  /// Removes the value if it is the one that is meant.
  func remove(_ key: SHA256Digest, where isMeant: (Value) -> Bool) {
    shard(of: key).map.withLock { map in
      if let value = map.peek(key), isMeant(value) { map.remove(key) }
    }
  }

  /// Looks at every value and its end, one shard after another, each locked meanwhile.
  func forEach(_ body: (Value, _ endsAtMs: Int64) -> Void) {
    for shard in shards { shard.map.withLock { $0.forEach(body) } }
  }

  /// Frees what has ended, one shard after another.
  func removeEnded(nowMs: Int64) {
    for shard in shards { shard.map.withLock { $0.removeEnded(nowMs: nowMs) } }
  }

  var count: Int { shards.reduce(0) { sum, shard in sum + shard.map.withLock { $0.count } } }
  var byteCost: Int { shards.reduce(0) { sum, shard in sum + shard.map.withLock { $0.byteCost } } }

  private func shard(of key: SHA256Digest) -> Shard {
    shards[Int(key.words.3 % UInt64(shards.count))]
  }
}
