import Wire

/// One line of an access log, taken apart: where in its bytes each value stands.
///
/// It knows the JSON formats by their names and units, and is made to be used again for the next
/// line, because there are millions.
package struct LogLine {
  /// Which values are looked for: the fields, and claims by their names behind them.
  private let names: NameTable
  /// By number: start and end, both 0 where the line has none; a string's without its quotes.
  private var places: [(start: Int, end: Int)]
  /// What one of the durations' unit is in microseconds; the JSON formats differ.
  private var durationUnit = DurationUnit.milliseconds

  enum DurationUnit { case milliseconds, seconds, nanoseconds }

  /// - Parameter more: names of claims, whose numbers follow those of the fields.
  package init(more: [String] = []) {
    names = NameTable(more: more)
    places = Array(repeating: (0, 0), count: AccessLogField.allCases.count + more.count)
  }

  /// The number of a claim named at `init`.
  package static func number(ofMore index: Int) -> Int { AccessLogField.allCases.count + index }

  /// The number of a value by its name in any of the formats.
  func number(named name: String) -> Int? {
    let name = Array(name.utf8)
    return names.find(name.span)?.number
  }

  /// Where a value stands in the line that was parsed last; nil where it has none.
  package func range(_ field: AccessLogField) -> Range<Int>? { range(number: Int(field.rawValue)) }

  package func range(number: Int) -> Range<Int>? {
    let place = places[number]
    return place.end == 0 ? nil : place.start..<place.end
  }

  /// Microseconds of one of the durations.
  package func micros(_ field: AccessLogField, in text: Span<UInt8>) -> Int64? {
    guard let range = range(field) else { return nil }
    let unit = field == .durationMs ? durationUnit : .milliseconds
    return Self.thousandths(text.extracting(range), unit)
  }

  package func integer(_ field: AccessLogField, in text: Span<UInt8>) -> Int? {
    guard let range = range(field) else { return nil }
    return Decimal.parse(text.extracting(range)).flatMap { Int(exactly: $0) }
  }

  /// Milliseconds since 1970.
  package func epochMs(in text: Span<UInt8>) -> Int64? {
    range(.time).flatMap { RFC3339.parse(text.extracting($0)) }
  }

  /// Takes a line apart.
  ///
  /// - Returns: whether it is one JSON object. What of it is not looked for may be nonsense.
  package mutating func parse(_ text: Span<UInt8>) -> Bool {
    for index in places.indices { places[index] = (0, 0) }
    durationUnit = .milliseconds
    var index = Self.skipBlanks(text, 0)
    guard index < text.count, text[index] == UInt8(ascii: "{") else { return false }
    index = Self.skipBlanks(text, index + 1)
    if index < text.count, text[index] == UInt8(ascii: "}") {
      return Self.skipBlanks(text, index + 1) == text.count
    }
    while index < text.count, text[index] == UInt8(ascii: "\"") {
      let nameStart = index + 1
      let nameEnd = Self.stringEnd(text, from: nameStart)
      var start = nameEnd + 1
      guard start < text.count, text[start] == UInt8(ascii: ":") else { return false }
      start = Self.skipBlanks(text, start + 1)
      guard start < text.count else { return false }
      let end: Int
      let isString = text[start] == UInt8(ascii: "\"")
      if isString {
        start += 1
        end = Self.stringEnd(text, from: start)
        guard end < text.count else { return false }
      } else {
        end = Self.valueEnd(text, from: start)
      }
      if let (number, unit) = names.find(text.extracting(nameStart..<nameEnd)) {
        places[number] = (start, end)
        if let unit { durationUnit = unit }
      }
      index = Self.skipBlanks(text, isString ? end + 1 : end)
      guard index < text.count else { return false }
      if text[index] == UInt8(ascii: "}") {
        return Self.skipBlanks(text, index + 1) == text.count
      }
      guard text[index] == UInt8(ascii: ",") else { return false }
      index = Self.skipBlanks(text, index + 1)
    }
    return false
  }

  @inline(__always)
  private static func skipBlanks(_ text: Span<UInt8>, _ start: Int) -> Int {
    var index = start
    while index < text.count, text[index] <= 0x20 { index &+= 1 }
    return index
  }

  /// The closing quote of the string whose text begins at `start`, or the end of the text.
  private static func stringEnd(_ text: Span<UInt8>, from start: Int) -> Int {
    var index = start
    while true {
      index = ByteScan.firstQuoteOrBackslash(in: text, from: index)
      guard index < text.count, text[index] == UInt8(ascii: "\\") else { return index }
      index = min(index + 2, text.count)
    }
  }

  /// Behind a value that is no string.
  private static func valueEnd(_ text: Span<UInt8>, from start: Int) -> Int {
    var index = start
    var depth = 0
    while index < text.count {
      switch text[index] {
      case UInt8(ascii: "\""):
        index = stringEnd(text, from: index + 1)
      case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: "}"), UInt8(ascii: ","):
        if depth == 0 { return index }
        if text[index] == UInt8(ascii: "}") { depth -= 1 }
      default: break
      }
      index += 1
    }
    return text.count
  }

  /// A decimal number of milliseconds, seconds or nanoseconds in microseconds.
  private static func thousandths(_ text: Span<UInt8>, _ unit: DurationUnit) -> Int64? {
    var whole: Int64 = 0
    var index = 0
    while index < text.count, ByteClass.isDigit(text[index]) {
      guard whole < 1 << 50 else { return nil }
      whole = whole * 10 + Int64(text[index] &- UInt8(ascii: "0"))
      index += 1
    }
    guard index > 0 else { return nil }
    let digits =
      switch unit {
      case .milliseconds: 3
      case .seconds: 6
      case .nanoseconds: 0
      }
    if unit == .nanoseconds { return whole / 1_000 }
    if index < text.count, text[index] == UInt8(ascii: ".") { index += 1 }
    for _ in 0..<digits {
      guard whole < 1 << 55 else { return nil }
      whole *= 10
      if index < text.count, ByteClass.isDigit(text[index]) {
        whole += Int64(text[index] &- UInt8(ascii: "0"))
        index += 1
      }
    }
    return whole
  }
}

/// Finds a member's number by its name, of all the JSON formats.
private struct NameTable {
  private var bytes: [UInt8] = []
  /// Open addressing; `number` -1 where there is none.
  private var slots: [(start: Int32, end: Int32, number: Int32, unit: LogLine.DurationUnit?)]
  private static let slotCount = 1_024

  init(more: [String]) {
    slots = Array(repeating: (0, 0, -1, nil), count: Self.slotCount)
    for field in AccessLogField.allCases where field != .claims {
      let number = Int(field.rawValue)
      let isDuration = field == .durationMs
      add(field.name, number, isDuration ? .milliseconds : nil)
      add(Self.bare(LogNames.otel[number]), number, isDuration ? .seconds : nil)
      add(Self.bare(LogNames.ecs[number]), number, isDuration ? .nanoseconds : nil)
    }
    for (index, name) in more.enumerated() {
      add(name, LogLine.number(ofMore: index), nil)
      add("\(LogNames.claimPrefix)\(name)", LogLine.number(ofMore: index), nil)
    }
  }

  /// `,"name":` without what is around it.
  private static func bare(_ name: StaticString) -> String {
    String("\(name)".dropFirst(2).dropLast(2))
  }

  private mutating func add(_ name: String, _ number: Int, _ unit: LogLine.DurationUnit?) {
    let name = Array(name.utf8)
    guard !name.isEmpty, find(name.span) == nil else { return }
    var slot = Self.slot(of: name.span)
    while slots[slot].number >= 0 { slot = (slot + 1) & (Self.slotCount - 1) }
    slots[slot] = (Int32(bytes.count), Int32(bytes.count + name.count), Int32(number), unit)
    bytes += name
  }

  func find(_ name: Span<UInt8>) -> (number: Int, unit: LogLine.DurationUnit?)? {
    guard !name.isEmpty else { return nil }
    var slot = Self.slot(of: name)
    while slots[slot].number >= 0 {
      let entry = slots[slot]
      if Int(entry.end &- entry.start) == name.count {
        var index = 0
        while index < name.count, bytes[Int(entry.start) &+ index] == name[index] { index &+= 1 }
        if index == name.count { return (Int(entry.number), entry.unit) }
      }
      slot = (slot &+ 1) & (Self.slotCount - 1)
    }
    return nil
  }

  /// Names differ in their length, their first, middle or last letter.
  @inline(__always)
  private static func slot(of name: Span<UInt8>) -> Int {
    let count = name.count
    let mixed =
      count &* 977 &+ Int(name[0]) &* 31 &+ Int(name[count - 1]) &* 173
      &+ Int(name[count / 2]) &* 613
    return mixed & (slotCount - 1)
  }
}
