/// Dates in HTTP's fields (RFC 9110 §5.6.7).
package enum HTTPDate {
  /// Three letters each.
  private static let days = Array("SunMonTueWedThuFriSat".utf8)
  private static let months = Array("JanFebMarAprMayJunJulAugSepOctNovDec".utf8)

  /// Appends the 29 bytes of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`, for the moment
  /// `epochSeconds` after 1970 began.
  package static func append(epochSeconds: Int64, to target: inout [UInt8]) {
    let date = CivilDate(epochSeconds: epochSeconds)
    target.append(contentsOf: days[(date.weekday * 3)..<(date.weekday * 3 + 3)])
    target.append(UInt8(ascii: ","))
    target.append(UInt8(ascii: " "))
    append(date.day, digits: 2, and: " ", to: &target)
    target.append(contentsOf: months[(date.month * 3 - 3)..<(date.month * 3)])
    target.append(UInt8(ascii: " "))
    append(date.year, digits: 4, and: " ", to: &target)
    append(date.hour, digits: 2, and: ":", to: &target)
    append(date.minute, digits: 2, and: ":", to: &target)
    append(date.second, digits: 2, and: " ", to: &target)
    target.append(UInt8(ascii: "G"))
    target.append(UInt8(ascii: "M"))
    target.append(UInt8(ascii: "T"))
  }

  /// The moment in seconds since 1970, or nil. RFC 9110 wants all three spellings understood:
  /// `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`,
  /// `Sun Nov  6 08:49:37 1994`. The day's name is not looked at.
  ///
  /// A year of two digits is taken for the one at most 50 years after `now` (seconds since 1970).
  package static func parse(_ text: Span<UInt8>, now: Int64) -> Int64? {
    var fields = Fields(text)
    guard let comma = fields.word() else { return nil }
    var day: Int?
    let month: Int?
    let year: Int?
    let time: (hour: Int, minute: Int, second: Int)?
    if comma.last == UInt8(ascii: ",") {
      day = fields.number()
      month = fields.word().flatMap(Self.month)
      year = fields.year(now: now)
      time = fields.time()
      guard fields.word() == Array("GMT".utf8) else { return nil }
    } else {
      month = fields.word().flatMap(Self.month)
      day = fields.number()
      time = fields.time()
      year = fields.year(now: now)
    }
    guard fields.isAtEnd, let day, let month, let year, let time else { return nil }
    return CivilDate.epochSeconds(
      year: year, month: month, day: day, hour: time.hour, minute: time.minute,
      second: time.second)
  }

  private static func append(
    _ number: Int, digits: Int, and separator: Unicode.Scalar, to target: inout [UInt8]
  ) {
    Decimal.append(UInt64(number), digits: digits, to: &target)
    target.append(UInt8(ascii: separator))
  }

  private static func month(_ name: [UInt8]) -> Int? {
    (0..<12).first { months[($0 * 3)..<($0 * 3 + 3)].elementsEqual(name) }.map { $0 + 1 }
  }

  /// The date's words and numbers, separated by spaces and hyphens.
  private struct Fields {
    private var rest: ArraySlice<UInt8>

    init(_ text: Span<UInt8>) {
      // The longest of the three has 33 bytes (`Wednesday, …`).
      var bytes: [UInt8] = []
      for index in 0..<min(text.count, 64) { bytes.append(text[index]) }
      rest = bytes[...]
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func word() -> [UInt8]? {
      while let first = rest.first, Self.isSeparator(first) { rest.removeFirst() }
      let word = rest.prefix { !Self.isSeparator($0) }
      rest = rest.dropFirst(word.count)
      return word.isEmpty ? nil : Array(word)
    }

    mutating func number() -> Int? {
      guard let word = word(), word.count <= 2 else { return nil }
      return Decimal.parse(word.span).map { Int($0) }
    }

    /// Four digits, or two: then the latest year that ends in them and is not more than 50 ahead.
    mutating func year(now: Int64) -> Int? {
      guard let word = word(), word.count == 4 || word.count == 2,
        let year = Decimal.parse(word.span).map({ Int($0) })
      else { return nil }
      guard word.count == 2 else { return year }
      let latest = CivilDate(epochSeconds: now).year + 50
      return latest - (latest - year) % 100
    }

    mutating func time() -> (hour: Int, minute: Int, second: Int)? {
      guard let word = word(), word.count == 8, word[2] == UInt8(ascii: ":"),
        word[5] == UInt8(ascii: ":"), let hour = Decimal.parse(word.span.extracting(0..<2)),
        let minute = Decimal.parse(word.span.extracting(3..<5)),
        let second = Decimal.parse(word.span.extracting(6..<8))
      else { return nil }
      return (Int(hour), Int(minute), Int(second))
    }

    private static func isSeparator(_ byte: UInt8) -> Bool {
      byte == UInt8(ascii: " ") || byte == UInt8(ascii: "-")
    }
  }
}
