/// The pairs of a query (`a=1&b=2`) or of a Cookie field's value (`a=1; b=2`), one after another
/// and where they stand: nothing is decoded or copied.
///
/// Together with the separators between them the pairs are all of the text, so whoever writes some
/// of them anew leaves every other byte as it was.
package struct NamedPairs {
  package enum Form: Sendable {
    /// Pairs with `&` between them, as forms are encoded.
    case query
    /// RFC 6265 §4.2.1: pairs with `;` between them, and blanks that belong to neither.
    case cookie

    fileprivate var separator: UInt8 { self == .query ? UInt8(ascii: "&") : UInt8(ascii: ";") }
  }

  package struct Pair: Equatable {
    /// All between two separators; may be empty.
    package let whole: Range<Int>
    /// What stands before the first `=`, or all of it where there is none.
    package let name: Range<Int>
    /// What stands behind it; of a cookie without the quotes around it.
    package let value: Range<Int>
  }

  private let form: Form
  private let end: Int
  private var next: Int?

  /// The pairs in `range` of the bytes that `nextPair` is handed.
  package init(_ form: Form, in range: Range<Int>) {
    self.form = form
    next = range.lowerBound
    end = range.upperBound
  }

  package mutating func nextPair(in bytes: Span<UInt8>) -> Pair? {
    guard let start = next else { return nil }
    var index = start
    var equals = -1
    while index < end, bytes[index] != form.separator {
      if bytes[index] == UInt8(ascii: "="), equals < 0 { equals = index }
      index += 1
    }
    next = index < end ? index + 1 : nil
    var name = start..<(equals < 0 ? index : equals)
    var value = equals < 0 ? index..<index : (equals + 1)..<index
    if form == .cookie {
      name = Self.withoutBlanks(name, in: bytes)
      value = Self.withoutQuotes(Self.withoutBlanks(value, in: bytes), in: bytes)
    }
    return Pair(whole: start..<index, name: name, value: value)
  }

  private static func withoutBlanks(_ range: Range<Int>, in bytes: Span<UInt8>) -> Range<Int> {
    var start = range.lowerBound
    var end = range.upperBound
    while start < end, ByteClass.isBlank(bytes[start]) { start += 1 }
    while end > start, ByteClass.isBlank(bytes[end - 1]) { end -= 1 }
    return start..<end
  }

  private static func withoutQuotes(_ range: Range<Int>, in bytes: Span<UInt8>) -> Range<Int> {
    guard range.count >= 2, bytes[range.lowerBound] == UInt8(ascii: "\""),
      bytes[range.upperBound - 1] == UInt8(ascii: "\"")
    else { return range }
    return (range.lowerBound + 1)..<(range.upperBound - 1)
  }
}
