package import OAuth
import Wire

/// The text of one file that the configuration came from, to point into.
package struct ConfigSource: Sendable {
  /// As the operator named it.
  package let file: String
  let bytes: [UInt8]
  /// How many bytes of other files are counted before this one's.
  let base: Int
  /// The offset at which each line begins.
  private let lineStarts: [Int]
  /// Literal secrets: never shown, nor part of a digest.
  let secrets: [Range<Int>]

  init(file: String, bytes: [UInt8], secrets: [Range<Int>], base: Int = 0) {
    self.file = file
    self.base = base
    self.bytes = bytes
    self.secrets = secrets
    lineStarts = [0] + bytes.indices.filter { bytes[$0] == 0x0A }.map { $0 + 1 }
  }

  /// A complaint about what stands at a place, made when the place has been read long ago: a
  /// certificate that does not load, an address that can't be bound.
  package func problem(
    at place: ConfigPlace, _ message: String, suggestion: String? = nil,
    severity: ConfigProblem.Severity = .error
  ) -> ConfigProblem {
    var cursor = Cursor()
    return problem(
      Reading.Finding(
        place: place, message: message, suggestion: suggestion, severity: severity), &cursor)
  }

  /// The line and column at which a place begins.
  func location(of place: ConfigPlace) -> SourceLocation {
    let line = lineIndex(place.range.lowerBound)
    var cursor = Cursor()
    return SourceLocation(
      line: line + 1, column: cursor.column(of: place.range.lowerBound, in: self, line: line))
  }

  /// Complaints in the order of their places, in time linear in the file and their number.
  func problems(_ findings: [Reading.Finding]) -> [ConfigProblem] {
    var cursor = Cursor()
    return findings.enumerated().sorted { one, other in
      (one.element.place.range.lowerBound, one.offset)
        < (other.element.place.range.lowerBound, other.offset)
    }.map { problem($0.element, &cursor) }
  }

  private func problem(_ finding: Reading.Finding, _ cursor: inout Cursor) -> ConfigProblem {
    let range = finding.place.range
    let line = lineIndex(range.lowerBound)
    return ConfigProblem(
      severity: finding.severity, file: file,
      location: SourceLocation(
        line: line + 1, column: cursor.column(of: range.lowerBound, in: self, line: line)),
      key: finding.place.key, message: finding.message, suggestion: finding.suggestion,
      excerpt: excerpt(range, line: line))
  }

  /// How far columns have been counted.
  private struct Cursor {
    private var offset = 0
    private var column = 1

    /// Counts on from the last place of the same line, or from the line's start.
    mutating func column(of target: Int, in source: ConfigSource, line: Int) -> Int {
      let start = source.lineStarts[line]
      if !(start...max(start, target)).contains(offset) || offset == start {
        (offset, column) = (start, 1)
      }
      let end = min(max(target, offset), source.bytes.count)
      column += SourceLocation.column(of: source.bytes[offset..<end]) - 1
      offset = end
      return column
    }
  }

  /// The last line that begins at or before the offset.
  private func lineIndex(_ offset: Int) -> Int {
    var low = 0
    var high = lineStarts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if lineStarts[middle] <= offset { low = middle } else { high = middle }
    }
    return low
  }

  private func excerpt(_ range: Range<Int>, line: Int) -> SourceExcerpt {
    let lineStart = lineStarts[line]
    var lineEnd = line + 1 < lineStarts.count ? lineStarts[line + 1] - 1 : bytes.count
    if lineEnd > lineStart, bytes[lineEnd - 1] == 0x0D { lineEnd -= 1 }
    // More of a long line than could be shown is not looked at.
    var start = max(lineStart, range.lowerBound - 256)
    while start > lineStart, start < lineEnd, bytes[start] & 0xC0 == 0x80 { start += 1 }
    var end = min(lineEnd, range.lowerBound + 768)
    while end < lineEnd, end > start, bytes[end] & 0xC0 == 0x80 { end -= 1 }
    return ShownLine(bytes, min(start, end)..<end, of: lineStart..<lineEnd, hiding: secrets)
      .excerpt(pointingAt: range)
  }
}
