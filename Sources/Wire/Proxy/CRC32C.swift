/// The Castagnoli checksum (RFC 9260 Appendix A), as PROXY headers have it. For a few hundred bytes
/// a connection at most: a table of 256 entries, one byte a step.
enum CRC32C {
  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { rest, _ in rest >> 1 ^ (rest & 1 == 0 ? 0 : 0x82F6_3B78) }
  }

  /// - Parameter hole: bytes that are taken for zeros: where the checksum itself stands.
  static func of(_ bytes: Span<UInt8>, asZero hole: Range<Int> = 0..<0) -> UInt32 {
    var sum = UInt32.max
    for index in 0..<bytes.count {
      let byte = hole.contains(index) ? 0 : bytes[index]
      sum = sum >> 8 ^ table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)]
    }
    return ~sum
  }
}
