package import Wire

/// A route's `match.path`: `/orders`, `/orders/{id}/lines`, `/orders/*`.
///
/// It is held as request paths are matched, normalised as RFC 3986 §6.2.2 says. An exact path also
/// holds its trailing-slash form; the rest (`*`) holds what stands before it, alone or with a
/// slash, and all below.
package struct PathPattern: Sendable {
  package enum Segment: Hashable, Sendable {
    /// Normalised: unreserved characters plain, escapes in upper case.
    case literal(UTF8Text)
    /// One segment, whatever it says; the name is the operator's.
    case parameter(String)
    /// Only last.
    case rest
  }

  package enum Fault: Error, Equatable {
    case notAbsolute
    case query
    case emptySegment
    case dotSegment
    case wildcardNotLast
    case brokenParameter
    case parameterTwice
    case brokenEscape
    /// A backslash or control character, which no request's path may hold.
    case forbiddenCharacter
  }

  /// As the operator wrote it.
  package let text: String
  package let segments: [Segment]

  /// The empty path alone.
  static let root = PathPattern(text: "/", segments: [])

  private init(text: String, segments: [Segment]) {
    self.text = text
    self.segments = segments
  }

  package init(_ text: UTF8Text) throws(Fault) {
    self.text = text.string
    guard text.bytes.first == UInt8(ascii: "/") else { throw .notAbsolute }
    var parts = text.bytes.dropFirst().split(
      separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    // `/orders/` is `/orders`, which holds both forms; `/` has no segment.
    if parts.last?.isEmpty == true { parts.removeLast() }
    var segments: [Segment] = []
    for (index, part) in parts.enumerated() {
      let segment = try Self.segment(part)
      if segment == .rest, index < parts.count - 1 { throw .wildcardNotLast }
      if case .parameter = segment, segments.contains(segment) { throw .parameterTwice }
      segments.append(segment)
    }
    self.segments = segments
  }

  /// The same for two patterns that hold the same paths: parameters' names make no difference.
  package func shape(ignoringCase: Bool) -> [Segment] {
    segments.map { segment in
      switch segment {
      case .literal(let text) where ignoringCase:
        .literal(UTF8Text(text.bytes.map { 0x41...0x5A ~= $0 ? $0 | 0x20 : $0 }))
      case .literal, .rest: segment
      case .parameter: .parameter("")
      }
    }
  }

  private static func segment(_ part: ArraySlice<UInt8>) throws(Fault) -> Segment {
    if part.isEmpty { throw .emptySegment }
    if part.elementsEqual("*".utf8) { return .rest }
    if part.contains(UInt8(ascii: "*")) { throw .wildcardNotLast }
    if part.contains(where: { $0 == UInt8(ascii: "{") || $0 == UInt8(ascii: "}") }) {
      let name = part.dropFirst().dropLast()
      guard part.first == UInt8(ascii: "{"), part.last == UInt8(ascii: "}"), !name.isEmpty,
        name.allSatisfy(isNameCharacter)
      else { throw .brokenParameter }
      return .parameter(String(decoding: name, as: UTF8.self))
    }
    let literal = try normalised(part)
    if literal.elementsEqual(".".utf8) || literal.elementsEqual("..".utf8) { throw .dotSegment }
    return .literal(UTF8Text(literal))
  }

  private static func isNameCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"): true
    default: false
    }
  }

  private static func normalised(_ part: ArraySlice<UInt8>) throws(Fault) -> [UInt8] {
    var segment: [UInt8] = []
    var index = part.startIndex
    while index < part.endIndex {
      var byte = part[index]
      var isEscaped = false
      index += 1
      if byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#") { throw .query }
      if byte == UInt8(ascii: "%") {
        guard part.endIndex - index >= 2, let high = hexadecimal(part[index]),
          let low = hexadecimal(part[index + 1])
        else { throw .brokenEscape }
        byte = high << 4 | low
        isEscaped = true
        index += 2
      }
      if byte < 0x20 || byte == 0x7F || byte == UInt8(ascii: "\\") { throw .forbiddenCharacter }
      // As `PathNormaliser` leaves it: escapes of unreserved characters undone, visible ones kept.
      if isUnreserved(byte) || !isEscaped && 0x21...0x7E ~= byte {
        segment.append(byte)
      } else {
        segment.append(UInt8(ascii: "%"))
        segment.append(hexadecimalDigit(byte >> 4))
        segment.append(hexadecimalDigit(byte & 0x0F))
      }
    }
    return segment
  }

  /// RFC 3986 §2.3.
  private static func isUnreserved(_ byte: UInt8) -> Bool {
    isNameCharacter(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "~")
  }

  private static func hexadecimal(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }

  private static func hexadecimalDigit(_ nibble: UInt8) -> UInt8 {
    nibble < 10 ? 0x30 + nibble : 0x41 + nibble - 10
  }
}
