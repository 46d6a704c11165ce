/// The 128 bits that all spans of one trace have in common (W3C Trace Context §3.2.2.3); never 0.
package struct TraceID: Sendable, Hashable {
  package let high: UInt64
  package let low: UInt64

  /// Nil for 0, which names no trace.
  package init?(high: UInt64, low: UInt64) {
    if high == 0, low == 0 { return nil }
    self.high = high
    self.low = low
  }

  /// Appends its 32 hexadecimal digits.
  package func append(to text: inout [UInt8]) {
    SpanID.append(high, to: &text)
    SpanID.append(low, to: &text)
  }
}

/// The 64 bits that name one span of a trace (§3.2.2.4); never 0.
package struct SpanID: Sendable, Hashable {
  package let number: UInt64

  /// Nil for 0, which names no span.
  package init?(_ number: UInt64) {
    if number == 0 { return nil }
    self.number = number
  }

  /// Appends its 16 hexadecimal digits.
  package func append(to text: inout [UInt8]) { Self.append(number, to: &text) }

  fileprivate static func append(_ number: UInt64, to text: inout [UInt8]) {
    for shift in stride(from: 60, through: 0, by: -4) {
      text.append(Hex.digit(UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 15))
    }
  }
}

/// What `traceparent` says (W3C Trace Context, Level 2, §3.2): which trace a request belongs to,
/// which span of it asks, and whether that span is being recorded.
package struct TraceParent: Sendable, Equatable {
  package struct Flags: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The caller may have recorded its span (§3.2.2.5.1).
    package static let sampled = Flags(rawValue: 1)
    /// The last seven bytes of the trace's id are random (Level 2, §3.2.2.5.2).
    package static let random = Flags(rawValue: 2)
  }

  package let trace: TraceID
  package let span: SpanID
  /// Those that this version knows: of others nobody may say that they still hold (§3.2.2.5).
  package let flags: Flags

  /// `00-` and 32, 16 and 2 digits with a `-` between them.
  package static let byteCount = 55

  package init(trace: TraceID, span: SpanID, flags: Flags) {
    self.trace = trace
    self.span = span
    self.flags = flags
  }

  /// Reads a field's value; nil for anything but what the grammar allows.
  ///
  /// A later version is read by what it has in common with version 00 (§4.3).
  package init?(_ value: Span<UInt8>) {
    let dash = UInt8(ascii: "-")
    guard value.count >= Self.byteCount, let version = Self.hex(value, 0..<2), version != 0xFF,
      value[2] == dash, value[35] == dash, value[52] == dash,
      let high = Self.hex(value, 3..<19), let low = Self.hex(value, 19..<35),
      let parent = Self.hex(value, 36..<52), let flags = Self.hex(value, 53..<55),
      let trace = TraceID(high: high, low: low), let span = SpanID(parent)
    else { return nil }
    if value.count > Self.byteCount {
      guard version > 0, value[Self.byteCount] == dash else { return nil }
    }
    self.init(
      trace: trace, span: span,
      flags: Flags(rawValue: UInt8(truncatingIfNeeded: flags)).intersection([.sampled, .random]))
  }

  /// Appends the field's value, in version 00.
  package func append(to text: inout [UInt8]) {
    text += "00-".utf8
    trace.append(to: &text)
    text.append(UInt8(ascii: "-"))
    span.append(to: &text)
    text += "-0".utf8
    text.append(Hex.digit(flags.rawValue))
  }

  /// Lower-case digits only (§3.2.2).
  private static func hex(_ value: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
    var number: UInt64 = 0
    for index in range {
      switch value[index] {
      case let byte where UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte:
        number = number << 4 | UInt64(byte - UInt8(ascii: "0"))
      case let byte where UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte:
        number = number << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
      default: return nil
      }
    }
    return number
  }
}
