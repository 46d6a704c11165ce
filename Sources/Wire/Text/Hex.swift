/// Hexadecimal text, lower case where it is written.
package enum Hex {
  /// Appends two digits for each byte.
  package static func append(_ bytes: Span<UInt8>, to target: inout [UInt8]) {
    for index in 0..<bytes.count {
      target.append(digit(bytes[index] >> 4))
      target.append(digit(bytes[index] & 15))
    }
  }

  /// Two digits for each byte.
  package static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(2 * bytes.count)
    append(bytes, to: &text)
    return text
  }

  /// The bytes that pairs of digits in either case stand for; nil for anything else.
  package static func decode(_ text: Span<UInt8>) -> [UInt8]? {
    guard text.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 2)
    var index = 0
    while index < text.count {
      guard let high = ByteClass.hexValue(text[index]),
        let low = ByteClass.hexValue(text[index + 1])
      else { return nil }
      bytes.append(high << 4 | low)
      index += 2
    }
    return bytes
  }

  /// `0`–`9`, `a`–`f` for a value below 16.
  @inline(__always)
  package static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &+ value &- 10
  }
}
