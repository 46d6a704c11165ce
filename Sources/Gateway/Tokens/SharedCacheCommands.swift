import Crypto
import OAuth

/// The commands about one exchange key. Each is a script, because each must happen whole: between
/// a look and a lock another gateway may have looked.
struct SharedCacheCommands {
  /// Where entries are, one a key; then the locks, in the same order. A gateway that has several
  /// keys looks at and locks all of them, so that it meets those that have any of them.
  private let names: [[UInt8]]
  private let count: Int

  init(_ seal: TokenSeal, _ key: SHA256Digest) throws(CryptoFault) {
    let entries = try seal.names(of: key)
    count = entries.count
    names = entries + entries.map { $0 + Array(":lock".utf8) }
  }

  private static let lookScript = Array(
    """
    local n = #KEYS / 2
    for i = 1, n do
      local entry = redis.call('GET', KEYS[i])
      if entry then return entry end
    end
    for i = n + 1, #KEYS do
      if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
    end
    if ARGV[1] ~= '' then
      for i = n + 1, #KEYS do redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2]) end
    end
    return 1
    """.utf8)

  private static let refreshScript = Array(
    """
    local n = #KEYS / 2
    for i = n + 1, #KEYS do
      if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
    end
    for i = n + 1, #KEYS do redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2]) end
    for i = 1, n do
      local entry = redis.call('GET', KEYS[i])
      if entry then return entry end
    end
    return 1
    """.utf8)

  private static let putScript = Array(
    """
    if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
    for i = #KEYS / 2 + 1, #KEYS do
      if redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('DEL', KEYS[i]) end
    end
    return 1
    """.utf8)

  private static let renewScript = Array(
    """
    for i = #KEYS / 2 + 1, #KEYS do
      if redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
    end
    return 1
    """.utf8)

  /// The entry; else 0 where another gateway has the lock, else 1. With `lock` it is taken then.
  func look(lock: [UInt8] = [], lockMs: Int64 = 0) -> [[UInt8]] {
    script(Self.lookScript, [lock, number(lockMs)])
  }

  /// 0 where another gateway has the lock; else the lock is taken, and the entry comes, or 1 where
  /// there is none.
  func refresh(lock: [UInt8], lockMs: Int64) -> [[UInt8]] {
    script(Self.refreshScript, [lock, number(lockMs)])
  }

  /// Lets the lock last for so long from now, if it still is this one.
  func renew(lock: [UInt8], lifeMs: Int64) -> [[UInt8]] {
    script(Self.renewScript, [lock, number(lifeMs)])
  }

  /// Puts an entry and lets go of the lock, if it still is this one.
  func put(_ sealed: [UInt8], lifeMs: Int64, lock: [UInt8]) -> [[UInt8]] {
    script(Self.putScript, [lock, sealed, number(lifeMs)])
  }

  func release(lock: [UInt8]) -> [[UInt8]] { script(Self.putScript, [lock, [], []]) }

  func remove() -> [[UInt8]] { [Array("DEL".utf8)] + names[..<count] }

  private func script(_ text: [UInt8], _ arguments: [[UInt8]]) -> [[UInt8]] {
    [Array("EVAL".utf8), text, number(Int64(names.count))] + names + arguments
  }

  private func number(_ value: Int64) -> [UInt8] { Array("\(value)".utf8) }
}
