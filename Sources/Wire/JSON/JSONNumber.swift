/// A number as it was written: what it means is worked out when someone asks.
///
/// Two are equal when they are spelled alike; compare `integer` or `double` to compare values.
package struct JSONNumber: Sendable, Equatable {
  /// The spelling, which keeps to RFC 8259 §6.
  package let text: UTF8Text

  /// - Parameter text: must keep to RFC 8259 §6, as what the parser hands in does.
  init(text: UTF8Text) {
    self.text = text
  }

  package init(_ integer: Int64) {
    text = UTF8Text(String(integer))
  }

  /// The value as a double, or nil where it is too large for one.
  package var double: Double? {
    guard let value = Double(text.string), value.isFinite else { return nil }
    return value
  }

  /// The exact value where it is a whole number that fits 64 bits, however it is spelled.
  package var integer: Int64? {
    var isNegative = false
    var digits: [UInt8] = []  // significant ones only
    var scale = 0  // the power of ten of the last digit
    var index = 0
    let bytes = text.bytes
    var isFraction = false
    scan: while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "-"):
        isNegative = true
      case UInt8(ascii: "."):
        isFraction = true
      case UInt8(ascii: "e"), UInt8(ascii: "E"):
        break scan
      case let digit:
        if isFraction { scale -= 1 }
        if digit != UInt8(ascii: "0") || !digits.isEmpty { digits.append(digit) }
      }
      index += 1
    }
    guard let exponent = Self.exponent(bytes[index...]) else {
      return digits.isEmpty ? 0 : nil
    }
    while digits.last == UInt8(ascii: "0") {
      digits.removeLast()
      scale += 1
    }
    if digits.isEmpty { return 0 }
    // Both are bounded by the text's length and by 2^40, so their sum can't overflow.
    scale += exponent
    guard scale >= 0, digits.count + scale <= 19 else { return nil }
    digits.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: scale))
    var value: Int64 = 0
    for digit in digits {
      let (shifted, overflowsShift) = value.multipliedReportingOverflow(by: 10)
      let step = Int64(digit) - 0x30
      let (next, overflowsStep) =
        isNegative
        ? shifted.subtractingReportingOverflow(step) : shifted.addingReportingOverflow(step)
      if overflowsShift || overflowsStep { return nil }
      value = next
    }
    return value
  }

  /// The exponent's value; nil where it is beyond 2^40, which no text's digits can make up for.
  private static func exponent(_ bytes: ArraySlice<UInt8>) -> Int? {
    var value = 0
    var isNegative = false
    for byte in bytes.dropFirst() {
      switch byte {
      case UInt8(ascii: "-"): isNegative = true
      case UInt8(ascii: "+"): break
      default: value = value * 10 + Int(byte) - 0x30
      }
      if value > 1 << 40 { return nil }
    }
    return isNegative ? -value : value
  }
}
