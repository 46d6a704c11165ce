/// The trailer fields of a chunked message that may go on.
///
/// `bytes` holds them written anew: each a whole line with its CRLF, without the section's empty
/// line, so they can be sent as they are.
package struct TrailerSection: Sendable {
  package private(set) var bytes: [UInt8] = []
  /// The lines in `bytes`.
  package private(set) var lines: [FieldLine] = []

  package init() {}

  package var byteCount: Int { bytes.count }
  package var isEmpty: Bool { lines.isEmpty }

  /// The lines but for fields of these names, `_` and `-` being one letter.
  package func bytes(without names: [FieldNameKey]) -> [UInt8] {
    var kept: [UInt8] = []
    var end = bytes.count
    // From the last line back, so that each one's end is where the next one begins.
    for line in lines.reversed() {
      let start = Int(line.nameStart)
      if !names.contains(where: { $0.matchesFolded(line, in: bytes.span) }) {
        kept.insert(contentsOf: bytes[start..<end], at: 0)
      }
      end = start
    }
    return kept
  }

  /// Takes the section that was received, less what a trailer must not say.
  ///
  /// RFC 9110 §6.5.1 forbids framing, routing, authentication, request modifiers, and what says how
  /// to read the content. All of those have a `FieldName`; so everything that the gateway has a
  /// name for is dropped, also under its disguise with underscores, and what is only passed on
  /// stays.
  init(keeping section: [FieldLine], of source: Span<UInt8>) {
    for line in section where line.known == .other && !line.isHopByHop {
      let nameStart = UInt32(truncatingIfNeeded: bytes.count)
      for index in line.name { bytes.append(source[index]) }
      let nameEnd = UInt32(truncatingIfNeeded: bytes.count)
      bytes.append(UInt8(ascii: ":"))
      bytes.append(UInt8(ascii: " "))
      let valueStart = UInt32(truncatingIfNeeded: bytes.count)
      for index in line.value { bytes.append(source[index]) }
      let valueEnd = UInt32(truncatingIfNeeded: bytes.count)
      bytes.append(UInt8(ascii: "\r"))
      bytes.append(UInt8(ascii: "\n"))
      lines.append(
        FieldLine(
          nameStart: nameStart, nameEnd: nameEnd, valueStart: valueStart, valueEnd: valueEnd,
          foldedHash: line.foldedHash, known: .other, hasUnderscore: line.hasUnderscore,
          isHopByHop: false))
    }
  }
}
