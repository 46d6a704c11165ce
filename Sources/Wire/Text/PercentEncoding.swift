/// Percent-escapes (RFC 3986 §2.1).
package enum PercentEncoding {
  /// Appends `%XX`, in capitals (§6.2.2.1).
  package static func appendEscape(of byte: UInt8, to target: inout [UInt8]) {
    target.append(UInt8(ascii: "%"))
    target.append(capital(byte >> 4))
    target.append(capital(byte & 15))
  }

  private static func capital(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "A") &+ value &- 10
  }

  /// Appends `text` with everything but unreserved characters escaped.
  package static func append(_ text: Span<UInt8>, to target: inout [UInt8]) {
    for index in 0..<text.count {
      if ByteClass.isUnreserved(text[index]) {
        target.append(text[index])
      } else {
        appendEscape(of: text[index], to: &target)
      }
    }
  }

  /// Whether the text says `plain` once its escapes are undone; a `%` without two digits behind it
  /// stands for itself.
  package static func matches(_ text: Span<UInt8>, _ plain: [UInt8]) -> Bool {
    var index = 0
    for wanted in plain {
      guard index < text.count else { return false }
      var byte = text[index]
      index += 1
      if byte == UInt8(ascii: "%"), text.count - index >= 2,
        let high = ByteClass.hexValue(text[index]), let low = ByteClass.hexValue(text[index + 1])
      {
        byte = high << 4 | low
        index += 2
      }
      guard byte == wanted else { return false }
    }
    return index == text.count
  }

  /// The text with its escapes undone; nil when a `%` has no two digits behind it.
  package static func decode(_ text: Span<UInt8>, plusIsSpace: Bool = false) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count)
    var index = 0
    while index < text.count {
      let byte = text[index]
      if byte == UInt8(ascii: "%") {
        guard text.count - index >= 3, let high = ByteClass.hexValue(text[index + 1]),
          let low = ByteClass.hexValue(text[index + 2])
        else { return nil }
        bytes.append(high << 4 | low)
        index += 3
      } else {
        bytes.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
        index += 1
      }
    }
    return bytes
  }
}
