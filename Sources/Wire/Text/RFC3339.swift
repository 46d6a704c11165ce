/// Times in the logs (RFC 3339 §5.6): UTC, milliseconds.
package enum RFC3339 {
  /// Appends the 24 bytes of `2026-01-02T03:04:05.678Z` for the moment `epochMs` milliseconds after
  /// 1970 began.
  package static func append(epochMs: Int64, to target: inout [UInt8]) {
    let ms = (epochMs % 1000 + 1000) % 1000
    let date = CivilDate(epochSeconds: epochMs / 1000 - (epochMs % 1000 < 0 ? 1 : 0))
    append(date.year, digits: 4, and: "-", to: &target)
    append(date.month, digits: 2, and: "-", to: &target)
    append(date.day, digits: 2, and: "T", to: &target)
    append(date.hour, digits: 2, and: ":", to: &target)
    append(date.minute, digits: 2, and: ":", to: &target)
    append(date.second, digits: 2, and: ".", to: &target)
    append(Int(ms), digits: 3, and: "Z", to: &target)
  }

  /// Milliseconds since 1970; nil for anything but a date and time with `Z` or an offset. Digits
  /// beyond milliseconds are dropped.
  package static func parse(_ text: Span<UInt8>) -> Int64? {
    guard (20...40).contains(text.count), let year = number(text, 0, 4, "-"),
      let month = number(text, 5, 2, "-"), let day = number(text, 8, 2, "T"),
      let hour = number(text, 11, 2, ":"), let minute = number(text, 14, 2, ":"),
      let second = number(text, 17, 2, nil),
      let seconds = CivilDate.epochSeconds(
        year: year, month: month, day: day, hour: hour, minute: minute, second: second)
    else { return nil }
    var index = 19
    var ms: Int64 = 0
    if text[index] == UInt8(ascii: ".") {
      var weight: Int64 = 100
      let start = index + 1
      index = start
      while index < text.count, ByteClass.isDigit(text[index]) {
        ms += weight * Int64(text[index] &- UInt8(ascii: "0"))
        weight /= 10
        index += 1
      }
      guard index > start else { return nil }
    }
    guard let offset = offsetMinutes(text.extracting(index...)) else { return nil }
    return (seconds - offset * 60) * 1000 + ms
  }

  private static func append(
    _ number: Int, digits: Int, and separator: Unicode.Scalar, to target: inout [UInt8]
  ) {
    Decimal.append(UInt64(number), digits: digits, to: &target)
    target.append(UInt8(ascii: separator))
  }

  /// `count` digits at `start`, and what must stand behind them. `t` and `z` are as good as `T`,
  /// `Z`.
  private static func number(
    _ text: Span<UInt8>, _ start: Int, _ count: Int, _ separator: Unicode.Scalar?
  ) -> Int? {
    if let separator {
      let found = text[start + count]
      guard ByteClass.lowercased(found) == ByteClass.lowercased(UInt8(ascii: separator)) else {
        return nil
      }
    }
    return Decimal.parse(text.extracting(start..<(start + count))).map { Int($0) }
  }

  private static func offsetMinutes(_ text: Span<UInt8>) -> Int64? {
    guard !text.isEmpty else { return nil }
    if text.count == 1 { return ByteClass.lowercased(text[0]) == UInt8(ascii: "z") ? 0 : nil }
    guard text.count == 6, text[0] == UInt8(ascii: "+") || text[0] == UInt8(ascii: "-"),
      let hours = number(text, 1, 2, ":"), let minutes = number(text, 4, 2, nil), hours < 24,
      minutes < 60
    else { return nil }
    return Int64(hours * 60 + minutes) * (text[0] == UInt8(ascii: "-") ? -1 : 1)
  }
}
