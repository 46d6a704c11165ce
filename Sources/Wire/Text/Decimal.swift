/// Decimal numbers as bytes.
package enum Decimal {
  /// Appends `value` without leading zeros.
  package static func append(_ value: UInt64, to target: inout [UInt8]) {
    append(value, digits: 1, to: &target)
  }

  /// Appends `value` with at least `digits` digits, zeros in front.
  package static func append(_ value: UInt64, digits: Int, to target: inout [UInt8]) {
    // 20 digits hold every UInt64.
    var text = InlineArray<20, UInt8>(repeating: UInt8(ascii: "0"))
    var rest = value
    var start = 20
    while rest > 0 {
      start -= 1
      text[start] = UInt8(ascii: "0") + UInt8(rest % 10)
      rest /= 10
    }
    start = min(start, max(0, 20 - digits))
    for index in start..<20 { target.append(text[index]) }
  }

  /// The number that `bytes` are, all of them digits and at least one; nil as well above 2^63 − 1.
  package static func parse(_ bytes: Span<UInt8>) -> UInt64? {
    guard !bytes.isEmpty else { return nil }
    var value: UInt64 = 0
    for index in 0..<bytes.count {
      guard ByteClass.isDigit(bytes[index]) else { return nil }
      let digit = UInt64(bytes[index] &- UInt8(ascii: "0"))
      // ⌊(2^63 − 1) ∕ 10⌋: the highest to which a digit can be added.
      guard value <= 922_337_203_685_477_580 else { return nil }
      value = value * 10 + digit
      guard value <= UInt64(Int64.max) else { return nil }
    }
    return value
  }
}
