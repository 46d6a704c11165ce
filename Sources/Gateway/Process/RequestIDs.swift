import Crypto

/// Ids for requests: 128 random bits in hexadecimal. Random bytes are taken from OpenSSL's
/// generator many at a time, because each call costs as much as a hundred ids.
struct RequestIDs {
  private var pool: [UInt8] = []
  private var used = 0

  private static let idBytes = 16
  private static let poolBytes = 4_096

  /// Puts a new id into `id`, in place of what it holds.
  mutating func make(into id: inout [UInt8]) {
    if id.count != 2 * Self.idBytes { id = [UInt8](repeating: 0, count: 2 * Self.idBytes) }
    if used + Self.idBytes > pool.count { refill() }
    var index = 0
    while index < Self.idBytes {
      let byte = pool[used &+ index]
      id[2 &* index] = Self.digit(byte >> 4)
      id[2 &* index &+ 1] = Self.digit(byte & 15)
      index &+= 1
    }
    used += Self.idBytes
  }

  private mutating func refill() {
    // Without random bytes there is an id all the same: it names a request and protects nothing.
    pool =
      (try? RandomBytes.make(count: Self.poolBytes))
      ?? [UInt8](repeating: 0, count: Self.poolBytes)
    used = 0
  }

  @inline(__always)
  private static func digit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 48 &+ nibble : 87 &+ nibble }
}
