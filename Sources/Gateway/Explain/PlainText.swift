import Wire

/// Text for people of what others wrote: without what a terminal would obey, and without tokens.
package enum PlainText {
  /// What stands in a token's place.
  static let hidden = "‹a token, not shown›"

  static func of(_ text: String) -> String {
    let clean = LogText.printable(text)
    let bytes = Array(clean.utf8)
    guard let first = token(in: bytes, from: 0) else { return clean }
    var shown: [UInt8] = []
    var start = 0
    var next: Range<Int>? = first
    while let range = next {
      shown += bytes[start..<range.lowerBound]
      shown += hidden.utf8
      start = range.upperBound
      next = token(in: bytes, from: start)
    }
    shown += bytes[start...]
    return String(decoding: shown, as: UTF8.self)
  }

  static func of(_ bytes: [UInt8]) -> String { of(String(decoding: bytes, as: UTF8.self)) }

  /// Whether a token, or what looks like one, is anywhere in the text.
  package static func holdsToken(_ text: String) -> Bool {
    token(in: Array(text.utf8), from: 0) != nil
  }

  /// A JWS or JWE in its compact form: a header in base64url begins with `eyJ`, and with a blank
  /// behind its brace `eyA` or `ewo`.
  private static func token(in bytes: [UInt8], from: Int) -> Range<Int>? {
    var start = from
    while start + 12 <= bytes.count {
      let isStart =
        bytes[start...].starts(with: "eyJ".utf8) || bytes[start...].starts(with: "eyA".utf8)
        || bytes[start...].starts(with: "ewo".utf8)
      guard isStart, start == 0 || !isPart(bytes[start - 1]) else {
        start += 1
        continue
      }
      var end = start
      var dots = 0
      while end < bytes.count, isPart(bytes[end]) || bytes[end] == UInt8(ascii: ".") {
        if bytes[end] == UInt8(ascii: ".") { dots += 1 }
        end += 1
      }
      if dots > 0, end - start >= 12 { return start..<end }
      start = end + 1
    }
    return nil
  }

  private static func isPart(_ byte: UInt8) -> Bool {
    ByteClass.isLetter(byte) || ByteClass.isDigit(byte) || byte == UInt8(ascii: "-")
      || byte == UInt8(ascii: "_")
  }

  /// `a, b, c`; `nothing` where there is none.
  static func list(_ texts: some Sequence<UTF8Text>) -> String {
    let joined = texts.map(\.string).joined(separator: ", ")
    return joined.isEmpty ? "nothing" : joined
  }

  /// `expired`, and a moment as people say it: `3 min 5 s ago (2026-11-25 10:20:30 UTC)`.
  static func moment(_ atMs: Int64, nowMs: Int64) -> String {
    let date = "\(LogText.date(atMs)) UTC"
    let gap = nowMs - atMs
    if gap < 0 { return "in \(Numbers.span(ms: -gap)) (\(date))" }
    return "\(Numbers.span(ms: gap)) ago (\(date))"
  }
}
