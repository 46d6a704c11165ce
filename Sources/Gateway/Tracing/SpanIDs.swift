import Crypto
import Wire

/// Random ids for traces and spans. Random bytes are taken many at a time, because each call of
/// OpenSSL's generator costs as much as a hundred ids.
struct SpanIDs {
  private var pool: [UInt8] = []
  private var used = 0

  private static let poolBytes = 4_096

  mutating func span() -> SpanID {
    while true { if let span = SpanID(number()) { return span } }
  }

  mutating func trace() -> TraceID {
    while true { if let trace = TraceID(high: number(), low: number()) { return trace } }
  }

  private mutating func number() -> UInt64 {
    if used + 8 > pool.count {
      // Without OpenSSL's bytes the kernel's do: an id protects nothing, but must not be 0.
      pool =
        (try? RandomBytes.make(count: Self.poolBytes))
        ?? (0..<Self.poolBytes).map { _ in UInt8.random(in: 0...255) }
      used = 0
    }
    var number: UInt64 = 0
    for index in used..<(used + 8) { number = number << 8 | UInt64(pool[index]) }
    used += 8
    return number
  }
}
