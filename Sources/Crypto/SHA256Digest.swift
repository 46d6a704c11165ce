/// A SHA-256 digest, held in four words: no allocation, and as a dictionary's key it costs one
/// hash.
package struct SHA256Digest: Hashable, Sendable, CustomStringConvertible {
  package static let byteCount = 32

  /// The 32 bytes, eight to a word, in the order of this machine's memory.
  package let words: (UInt64, UInt64, UInt64, UInt64)

  init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

  /// Nil unless there are exactly 32 bytes.
  package init?(_ bytes: Span<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    func word(_ at: Int) -> UInt64 {
      var word: UInt64 = 0
      for index in 0..<8 { word |= UInt64(bytes[at + index]) << UInt64(8 * index) }
      return UInt64(littleEndian: word)
    }
    words = (word(0), word(8), word(16), word(24))
  }

  /// The 32 bytes, first to last.
  package var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.byteCount)
    append(to: &bytes)
    return bytes
  }

  /// Appends the 32 bytes.
  package func append(to bytes: inout [UInt8]) {
    for word in [words.0, words.1, words.2, words.3] {
      let word = word.littleEndian
      for index in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * index))) }
    }
  }

  /// 64 lower-case hexadecimal digits.
  package var description: String {
    var text = ""
    for byte in bytes {
      text.append(byte < 16 ? "0" : "")
      text.append(String(byte, radix: 16))
    }
    return text
  }

  package static func == (left: SHA256Digest, right: SHA256Digest) -> Bool {
    // All four words always: nothing is learned from the time it takes.
    (left.words.0 ^ right.words.0) | (left.words.1 ^ right.words.1)
      | (left.words.2 ^ right.words.2) | (left.words.3 ^ right.words.3) == 0
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
  }
}
