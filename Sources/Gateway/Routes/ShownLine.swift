/// A line as a terminal shows it: what each character looks like, and how wide it is.
struct ShownLine {
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
  private let isCutBefore: Bool
  private let isCutAfter: Bool

  /// - Parameters:
  ///   - range: the part of the line that is looked at.
  ///   - line: the whole of it.
  init(_ bytes: [UInt8], _ range: Range<Int>, of line: Range<Int>, hiding secrets: [Range<Int>]) {
    isCutBefore = range.lowerBound > line.lowerBound
    isCutAfter = range.upperBound < line.upperBound
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
    if isCutBefore || isCutAfter || cells.reduce(0, { $0 + $1.width }) > Self.widthMax {
      shown = window(around: first)
    }
    let lead = isCutBefore || shown.lowerBound > 0 ? "…" : ""
    let trail = isCutAfter || shown.upperBound < cells.count ? "…" : ""
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

  /// As many cells as a screen is wide, with some of those before the place.
  private func window(around first: Int) -> Range<Int> {
    var start = first
    var width = 0
    while start > 0, width + cells[start - 1].width <= Self.lead {
      start -= 1
      width += cells[start].width
    }
    var end = start
    width = 0
    while end < cells.count, width + cells[end].width <= Self.widthMax {
      width += cells[end].width
      end += 1
    }
    return start..<end
  }

  private static func cell(_ character: Character, range: Range<Int>) -> Cell {
    if character == "\t" { return Cell(text: "\t", width: 1, range: range) }
    let scalars = character.unicodeScalars
    if scalars.contains(where: \.isObeyed) {
      return Cell(text: "\u{FFFD}", width: 1, range: range)
    }
    let isWide = scalars.first.map(isWide) ?? false
    return Cell(text: String(character), width: isWide ? 2 : 1, range: range)
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

/// Text from a file in a message: on one line, and without what a terminal would obey.
enum ShownText {
  static func plain(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: \.isObeyed) else { return text }
    var plain = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { plain.append(scalar.isObeyed ? "\u{FFFD}" : scalar) }
    return String(plain)
  }
}

extension Unicode.Scalar {
  /// What a terminal obeys instead of showing, or what turns the order of the line around.
  fileprivate var isObeyed: Bool {
    switch properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    case .format: value != 0x200D  // joins emoji
    default: false
    }
  }
}
