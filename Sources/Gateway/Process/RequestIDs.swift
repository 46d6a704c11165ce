import Crypto
import Wire

/// Ids for requests: 128 random bits in hexadecimal. Random bytes are taken from OpenSSL's
/// generator many at a time, because each call costs as much as a hundred ids.
struct RequestIDs {
  private var pool: [UInt8] = []
  private var used = 0

  private static let idBytes = 16
  private static let poolBytes = 4_096

  /// Puts a new id into `id`, in place of what it holds.
  mutating func make(into id: inout [UInt8]) {
    id.removeAll(keepingCapacity: true)
    if used + Self.idBytes > pool.count {
      // Without random bytes there is an id all the same: it names a request and protects nothing.
      pool =
        (try? RandomBytes.make(count: Self.poolBytes))
        ?? [UInt8](repeating: 0, count: Self.poolBytes)
      used = 0
    }
    for index in used..<(used + Self.idBytes) {
      id.append(Hex.digit(pool[index] >> 4))
      id.append(Hex.digit(pool[index] & 15))
    }
    used += Self.idBytes
  }
}
