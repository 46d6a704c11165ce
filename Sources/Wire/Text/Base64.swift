/// Base64 as tokens have it: URL alphabet, no padding (RFC 4648 §5, RFC 7515 §2).
package enum Base64URL {
  /// The bytes, or nil unless `text` is their one spelling: no padding, no whitespace, no other
  /// alphabet, and the last character's unused bits zero. Two spellings of one signature would be
  /// two cache keys, and two ways to name one token.
  package static func decode(_ text: Span<UInt8>) -> [UInt8]? {
    Base64Digits.decode(text, table: Base64Digits.urlValues)
  }

  package static func decode(_ text: [UInt8]) -> [UInt8]? { decode(text.span) }

  package static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count / 3 * 4 + 4)
    append(bytes, to: &text)
    return text
  }

  package static func encode(_ bytes: [UInt8]) -> [UInt8] { encode(bytes.span) }

  package static func append(_ bytes: Span<UInt8>, to target: inout [UInt8]) {
    Base64Digits.append(bytes, digits: Base64Digits.urlDigits, to: &target)
  }
}

/// Base64 with its first alphabet, padded (RFC 4648 §4): Basic credentials, PEM, WebSocket keys.
package enum Base64 {
  /// The bytes, or nil unless `text` is their one spelling: padded, no whitespace, unused bits
  /// zero.
  package static func decode(_ text: Span<UInt8>) -> [UInt8]? {
    guard text.count.isMultiple(of: 4) else { return nil }
    var end = text.count
    while end > 0, text.count - end < 2, text[end - 1] == UInt8(ascii: "=") { end -= 1 }
    return Base64Digits.decode(text.extracting(0..<end), table: Base64Digits.values)
  }

  package static func decode(_ text: [UInt8]) -> [UInt8]? { decode(text.span) }

  package static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count / 3 * 4 + 4)
    append(bytes, to: &text)
    return text
  }

  package static func encode(_ bytes: [UInt8]) -> [UInt8] { encode(bytes.span) }

  package static func append(_ bytes: Span<UInt8>, to target: inout [UInt8]) {
    Base64Digits.append(bytes, digits: Base64Digits.digits, to: &target)
    for _ in 0..<((3 - bytes.count % 3) % 3) { target.append(UInt8(ascii: "=")) }
  }
}

/// The two alphabets, and the arithmetic that they share.
private enum Base64Digits {
  static let digits = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  static let urlDigits = Array(digits.dropLast(2)) + Array("-_".utf8)
  static let values = makeValues(of: digits)
  static let urlValues = makeValues(of: urlDigits)

  /// For each byte the digit's value, or 64 for no digit.
  private static func makeValues(of digits: [UInt8]) -> [UInt8] {
    var values = [UInt8](repeating: 64, count: 256)
    for (value, digit) in digits.enumerated() { values[Int(digit)] = UInt8(value) }
    return values
  }

  static func decode(_ text: Span<UInt8>, table: [UInt8]) -> [UInt8]? {
    let tail = text.count % 4
    // Six bits are no byte.
    guard tail != 1 else { return nil }
    let whole = text.count - tail
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 4 * 3 + 2)
    var index = 0
    while index < whole {
      let four = text.extracting(index..<(index &+ 4))
      let a = table[Int(four[0])]
      let b = table[Int(four[1])]
      let c = table[Int(four[2])]
      let d = table[Int(four[3])]
      guard a | b | c | d < 64 else { return nil }
      bytes.append(a << 2 | b >> 4)
      bytes.append(b << 4 | c >> 2)
      bytes.append(c << 6 | d)
      index &+= 4
    }
    guard tail > 0 else { return bytes }
    let a = table[Int(text[whole])]
    let b = table[Int(text[whole + 1])]
    let c = tail == 3 ? table[Int(text[whole + 2])] : 0
    guard a | b | c < 64 else { return nil }
    // RFC 4648 §3.5: bits that no byte needs are zero, or there would be several spellings.
    guard (tail == 2 ? b << 4 : c << 6) == 0 else { return nil }
    bytes.append(a << 2 | b >> 4)
    if tail == 3 { bytes.append(b << 4 | c >> 2) }
    return bytes
  }

  static func append(_ bytes: Span<UInt8>, digits: [UInt8], to target: inout [UInt8]) {
    let tail = bytes.count % 3
    let whole = bytes.count - tail
    var index = 0
    while index < whole {
      let three = bytes.extracting(index..<(index &+ 3))
      target.append(digits[Int(three[0] >> 2)])
      target.append(digits[Int((three[0] << 4 | three[1] >> 4) & 63)])
      target.append(digits[Int((three[1] << 2 | three[2] >> 6) & 63)])
      target.append(digits[Int(three[2] & 63)])
      index &+= 3
    }
    guard tail > 0 else { return }
    let second = tail == 2 ? bytes[whole + 1] : 0
    target.append(digits[Int(bytes[whole] >> 2)])
    target.append(digits[Int((bytes[whole] << 4 | second >> 4) & 63)])
    if tail == 2 { target.append(digits[Int(second << 2 & 63)]) }
  }
}
