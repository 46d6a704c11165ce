package import OAuth
import Wire

/// The text of one file that the configuration came from, to point into.
package struct ConfigSource: Sendable {
  /// As the operator named it.
  package let file: String
  let bytes: [UInt8]
  /// The offset at which each line begins.
  private let lineStarts: [Int]
  /// Literal secrets: never shown, nor part of a digest.
  let secrets: [Range<Int>]

  init(file: String, bytes: [UInt8], secrets: [Range<Int>]) {
    self.file = file
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
    ConfigProblem(
      severity: severity, file: file, location: location(place.range.lowerBound),
      key: place.key, message: message, suggestion: suggestion, excerpt: excerpt(place.range))
  }

  private func location(_ offset: Int) -> SourceLocation {
    let line = lineIndex(offset)
    let before = bytes[lineStarts[line]..<min(max(offset, lineStarts[line]), bytes.count)]
    return SourceLocation(line: line + 1, column: SourceLocation.column(of: before))
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

  private func excerpt(_ range: Range<Int>) -> SourceExcerpt {
    let index = lineIndex(range.lowerBound)
    let start = lineStarts[index]
    var end = index + 1 < lineStarts.count ? lineStarts[index + 1] - 1 : bytes.count
    if end > start, bytes[end - 1] == 0x0D { end -= 1 }
    let line = ShownLine(bytes, start..<end, hiding: secrets)
    return line.excerpt(pointingAt: range)
  }
}

/// A line as a terminal shows it: what each character looks like, and how wide it is.
private struct ShownLine {
  private struct Cell {
    let text: String
    let width: Int
    let range: Range<Int>
  }

  /// More than a screen is wide, a line is cut, so that a file without line ends stays readable.
  private static let widthMax = 160
  /// What is left of a cut line before the place.
  private static let lead = 60

  private var cells: [Cell] = []

  init(_ bytes: [UInt8], _ range: Range<Int>, hiding secrets: [Range<Int>]) {
    var index = range.lowerBound
    for secret in secrets where secret.overlaps(range) {
      append(bytes[index..<max(index, min(secret.lowerBound, range.upperBound))])
      let shown =
        max(secret.lowerBound, range.lowerBound)..<min(secret.upperBound, range.upperBound)
      cells.append(Cell(text: "\"‹redacted›\"", width: 12, range: shown))
      index = shown.upperBound
    }
    append(bytes[index..<range.upperBound])
  }

  private mutating func append(_ bytes: ArraySlice<UInt8>) {
    var index = bytes.startIndex
    for character in String(decoding: bytes, as: UTF8.self) {
      let count = character.utf8.count
      let end = min(index + count, bytes.endIndex)
      if character != "\u{FEFF}" {
        cells.append(Self.cell(character, range: index..<end))
      }
      index = end
    }
  }

  func excerpt(pointingAt range: Range<Int>) -> SourceExcerpt {
    let first = cells.firstIndex { $0.range.upperBound > range.lowerBound } ?? cells.count
    let after = cells[first...].firstIndex { $0.range.lowerBound >= range.upperBound }
    let target = first..<(after ?? cells.count)
    var shown = cells.startIndex..<cells.endIndex
    if cells.reduce(0, { $0 + $1.width }) > Self.widthMax {
      let start = max(0, first - Self.lead)
      shown = start..<min(cells.count, start + Self.widthMax)
    }
    let lead = shown.lowerBound > 0 ? "…" : ""
    let trail = shown.upperBound < cells.count ? "…" : ""
    let line = lead + cells[shown].map(\.text).joined() + trail
    let marked = target.clamped(to: shown)
    // Tabs stay tabs, so that the underline ends up below whatever their width is.
    let margin = cells[shown.lowerBound..<marked.lowerBound].map { cell in
      cell.text == "\t" ? "\t" : String(repeating: " ", count: cell.width)
    }
    let width = max(1, cells[marked].reduce(0) { $0 + $1.width })
    let underline =
      (lead.isEmpty ? "" : " ") + margin.joined() + "^" + String(repeating: "~", count: width - 1)
    return SourceExcerpt(line: line, underline: underline)
  }

  private static func cell(_ character: Character, range: Range<Int>) -> Cell {
    if character == "\t" { return Cell(text: "\t", width: 1, range: range) }
    let scalars = character.unicodeScalars
    if scalars.contains(where: isHostile) { return Cell(text: "\u{FFFD}", width: 1, range: range) }
    let isWide = scalars.first.map(isWide) ?? false
    return Cell(text: String(character), width: isWide ? 2 : 1, range: range)
  }

  /// What a terminal obeys instead of showing, or what turns the order of the line around.
  private static func isHostile(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    case .format: scalar.value != 0x200D  // joins emoji
    default: false
    }
  }

  /// East Asian Wide and Fullwidth (UAX #11), by blocks.
  private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF,
      0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x20000...0x3FFFD:
      true
    default: scalar.properties.isEmojiPresentation
    }
  }
}
