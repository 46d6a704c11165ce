/// Appends JSON to bytes, for lines that are written once a request.
///
/// Whatever comes in, what goes out is one well-formed string on one line: control characters
/// (C0, DEL and C1, which a terminal would obey) are escaped, and so is what ends a line or turns
/// the direction of writing (U+2028 and its like); malformed UTF-8 becomes U+FFFD.
package enum JSONWriter {
  /// Appends the bytes as a string, quotes included.
  package static func appendString(_ text: Span<UInt8>, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    appendContent(text, to: &bytes)
    bytes.append(UInt8(ascii: "\""))
  }

  package static func appendString(_ text: [UInt8], to bytes: inout [UInt8]) {
    appendString(text.span, to: &bytes)
  }

  package static func appendString(_ text: UTF8Text, to bytes: inout [UInt8]) {
    appendString(text.bytes.span, to: &bytes)
  }

  package static func appendString(_ text: String, to bytes: inout [UInt8]) {
    appendString(text.utf8.span, to: &bytes)
  }

  /// Appends what stands between a string's quotes, so that one string can have several sources.
  package static func appendContent(_ text: Span<UInt8>, to bytes: inout [UInt8]) {
    var index = 0
    while index < text.count {
      let byte = text[index]
      if byte < 0x80 {
        if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte != 0x7F {
          bytes.append(byte)
        } else {
          appendEscaped(byte, to: &bytes)
        }
        index += 1
        continue
      }
      let length = UTF8Sequence.length(in: text, at: index)
      if length == 0 {
        UTF8Sequence.append(0xFFFD, to: &bytes)
        index += 1
      } else if length == 2, byte == 0xC2, text[index + 1] < 0xA0 {
        appendEscaped(text[index + 1], to: &bytes)
        index += 2
      } else if let scalar = Self.invisible(text, at: index, length: length) {
        bytes.append(contentsOf: "\\u".utf8)
        for shift in [12, 8, 4, 0] as [UInt16] {
          bytes.append(hexDigit(UInt8(truncatingIfNeeded: scalar >> shift) & 0x0F))
        }
        index += length
      } else {
        for offset in 0..<length { bytes.append(text[index + offset]) }
        index += length
      }
    }
  }

  /// U+2028 and U+2029, which are line ends to some readers, and the marks that make a text look
  /// like another one: U+061C, U+200E, U+200F, U+202A–202E, U+2066–2069, U+FEFF. Nil for any other.
  private static func invisible(_ text: Span<UInt8>, at index: Int, length: Int) -> UInt16? {
    let lead = text[index]
    guard lead == 0xE2 || lead == 0xD8 || lead == 0xEF else { return nil }
    var scalar = UInt16(lead) & (length == 2 ? 0x1F : 0x0F)
    for offset in 1..<length { scalar = scalar << 6 | UInt16(text[index + offset]) & 0x3F }
    switch scalar {
    case 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: return scalar
    default: return nil
    }
  }

  /// Appends the number in decimal.
  package static func appendInteger(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
    var rest = value.magnitude
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    let start = bytes.count
    repeat {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit))
      rest = quotient
    } while rest > 0
    bytes[start...].reverse()
  }

  package static func appendBool(_ value: Bool, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: (value ? "true" : "false").utf8)
  }

  private static func appendEscaped(_ byte: UInt8, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\\"))
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
    case 0x0A: bytes.append(UInt8(ascii: "n"))
    case 0x0D: bytes.append(UInt8(ascii: "r"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    default:
      bytes.append(contentsOf: "u00".utf8)
      bytes.append(hexDigit(byte >> 4))
      bytes.append(hexDigit(byte & 0x0F))
    }
  }

  private static func hexDigit(_ nibble: UInt8) -> UInt8 {
    nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
  }
}
