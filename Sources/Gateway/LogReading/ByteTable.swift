import HTTP

/// Numbers for byte strings, in the order in which they were first seen.
struct ByteTable {
  private(set) var keys: [[UInt8]] = []
  private var slots: [Int32] = Array(repeating: -1, count: 64)
  private var hashes: [UInt32] = []

  var count: Int { keys.count }

  /// The number of `key`, a new one where there is room for another.
  mutating func number(of key: Span<UInt8>, max: Int) -> Int? {
    let hash = Self.hash(key)
    var slot = Int(hash) & (slots.count - 1)
    while slots[slot] >= 0 {
      let number = Int(slots[slot])
      if hashes[number] == hash, Self.isSame(keys[number], key) { return number }
      slot = (slot + 1) & (slots.count - 1)
    }
    guard keys.count < max else { return nil }
    slots[slot] = Int32(keys.count)
    keys.append([UInt8](copying: key))
    hashes.append(hash)
    if keys.count * 2 > slots.count { grow() }
    return keys.count - 1
  }

  private mutating func grow() { rehash(slots.count * 2) }

  private mutating func rehash(_ size: Int) {
    slots = Array(repeating: -1, count: size)
    for (number, hash) in hashes.enumerated() {
      var slot = Int(hash) & (size - 1)
      while slots[slot] >= 0 { slot = (slot + 1) & (size - 1) }
      slots[slot] = Int32(number)
    }
  }

  /// FNV-1a. What is hashed comes from a log, at worst from somebody who makes it slow to read.
  private static func hash(_ key: Span<UInt8>) -> UInt32 {
    var hash: UInt32 = 2_166_136_261
    for index in key.indices { hash = (hash ^ UInt32(key[index])) &* 16_777_619 }
    return hash ^ hash >> 15
  }

  private static func isSame(_ one: [UInt8], _ other: Span<UInt8>) -> Bool {
    guard one.count == other.count else { return false }
    for index in one.indices where one[index] != other[index] { return false }
    return true
  }
}
