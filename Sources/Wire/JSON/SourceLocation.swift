/// A place in a text as people and editors count: both from 1, columns in characters.
package struct SourceLocation: Hashable, Sendable, Comparable {
  package let line: Int
  package let column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  /// The place of one byte. An offset past the end counts as the end.
  package init(offset: Int, in bytes: [UInt8]) {
    let before = bytes.prefix(max(0, offset))
    let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    let newlines = before.reduce(into: 0) { count, byte in if byte == 0x0A { count += 1 } }
    line = newlines + 1
    column = Self.column(of: before[lineStart...])
  }

  /// The column of what follows `bytes` on their line; a byte order mark takes none.
  package static func column(of bytes: ArraySlice<UInt8>) -> Int {
    let text = String(decoding: bytes, as: UTF8.self)
    return text.count + 1 - (text.unicodeScalars.first == "\u{FEFF}" ? 1 : 0)
  }

  package static func < (one: SourceLocation, other: SourceLocation) -> Bool {
    (one.line, one.column) < (other.line, other.column)
  }
}
