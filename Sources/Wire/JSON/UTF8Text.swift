/// Text compared by its bytes, never by Unicode's equivalence.
///
/// Swift's `String` calls `"é"` and `"e\u{301}"` equal; an issuer, an audience or a member's name
/// must not be. What stands here is what came over the wire, compared octet by octet
/// (RFC 8259 §8.3, RFC 7519 §4.1).
package struct UTF8Text: Hashable, Sendable {
  /// The text as UTF-8. What the JSON parser made is well-formed; what others hand in may not be.
  package let bytes: [UInt8]

  package init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  package init(_ text: String) {
    bytes = Array(text.utf8)
  }

  /// For people to read; malformed bytes become U+FFFD.
  package var string: String { String(decoding: bytes, as: UTF8.self) }

  package var isEmpty: Bool { bytes.isEmpty }

  package func hasPrefix(_ prefix: UTF8Text) -> Bool {
    bytes.starts(with: prefix.bytes)
  }

  package func hasSuffix(_ suffix: UTF8Text) -> Bool {
    bytes.count >= suffix.bytes.count && bytes.suffix(suffix.bytes.count) == suffix.bytes[...]
  }

  /// Equal when A–Z and a–z count as the same letters; every other byte counts as it is.
  package func equalsIgnoringASCIICase(_ other: UTF8Text) -> Bool {
    guard bytes.count == other.bytes.count else { return false }
    return zip(bytes, other.bytes).allSatisfy { Self.lowercased($0) == Self.lowercased($1) }
  }

  private static func lowercased(_ byte: UInt8) -> UInt8 {
    byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
  }
}

extension UTF8Text: ExpressibleByStringLiteral {
  package init(stringLiteral value: String) {
    self.init(value)
  }
}

extension UTF8Text: Comparable {
  package static func < (one: UTF8Text, other: UTF8Text) -> Bool {
    one.bytes.lexicographicallyPrecedes(other.bytes)
  }
}

extension UTF8Text: CustomStringConvertible {
  package var description: String { string }
}
