/// Brings a path into normal form (RFC 3986 §6.2.2): dot segments removed, escapes of unreserved
/// characters undone, the other escapes in capitals; and empty segments merged.
///
/// A path decides which rules a request meets, and the service behind us reads the path again. So
/// nothing is mended that servers read in different ways; it is refused:
/// - backslashes, NUL and control characters, raw or escaped, as overlong UTF-8 too;
/// - an escaped `%` that, decoded once more, makes any of those, a slash, a dot or another `%`;
/// - `..` above the root, and `..` behind an empty segment (`/a//../b` is `/b` to who merges first
///   and `/a/b` to who does not);
/// - dots that become a segment once `%2F` is decoded or parameters are cut off (`..;x`, `..%2Fx`).
///
/// A path that is normal already, which is nearly every one, is read once and copied.
package enum PathNormaliser {
  /// Takes the path `raw`, without query; an empty one is `/` (RFC 9110 §4.2.3). `path` means
  /// nothing after a fault.
  package static func normalise(
    _ raw: Span<UInt8>, into path: inout NormalisedPath
  ) throws(PathFault) {
    path.merged.removeAll(keepingCapacity: true)
    path.hadEmptySegments = false
    path.hasEncodedSlash = false
    path.hasParameters = false
    guard !raw.isEmpty else {
      path.merged.append(UInt8(ascii: "/"))
      return
    }
    guard raw[0] == UInt8(ascii: "/") else { throw .notAbsolute }
    if copyNormal(raw, into: &path) { return }

    try normaliseEscapes(raw, into: &path)
    try refuseDoubleEncoding(path.escaped.span)
    try removeDots(&path)
    mergeSlashes(&path)
  }

  /// Copies a path that is normal as it stands; false when it may not be, whatever was copied then.
  private static func copyNormal(_ raw: Span<UInt8>, into path: inout NormalisedPath) -> Bool {
    let count = raw.count
    path.merged.reserveCapacity(count)
    var previous: UInt8 = 0
    for index in 0..<count {
      let byte = raw[index]
      guard byte &- 0x21 < 0x7F - 0x21 else { return false }
      switch byte {
      case UInt8(ascii: "%"), UInt8(ascii: ";"), UInt8(ascii: "\\"), UInt8(ascii: "#"),
        UInt8(ascii: "?"):
        return false
      case UInt8(ascii: "/"), UInt8(ascii: "."):
        if previous == UInt8(ascii: "/") { return false }
      default:
        break
      }
      previous = byte
      path.merged.append(byte)
    }
    return true
  }

  private static func normaliseEscapes(
    _ raw: Span<UInt8>, into path: inout NormalisedPath
  ) throws(PathFault) {
    path.escaped.removeAll(keepingCapacity: true)
    // The byte that the escape just before stood for; 0 where none was.
    var lead: UInt8 = 0
    var index = 0
    while index < raw.count {
      let byte = raw[index]
      guard byte == UInt8(ascii: "%") else {
        try refuseCharacter(byte)
        if byte == UInt8(ascii: ";") { path.hasParameters = true }
        path.escaped.append(byte)
        lead = 0
        index += 1
        continue
      }
      guard raw.count - index >= 3, let high = ByteClass.hexValue(raw[index + 1]),
        let low = ByteClass.hexValue(raw[index + 2])
      else { throw .escapeInvalid }
      let decoded = high << 4 | low
      try refuseDecoded(decoded, behind: lead)
      if ByteClass.isUnreserved(decoded) {
        path.escaped.append(decoded)
      } else {
        if decoded == UInt8(ascii: "/") { path.hasEncodedSlash = true }
        PercentEncoding.appendEscape(of: decoded, to: &path.escaped)
      }
      lead = decoded
      index += 3
    }
  }

  private static func refuseCharacter(_ byte: UInt8) throws(PathFault) {
    guard byte >= 0x20, byte != 0x7F else { throw .controlCharacter }
    guard byte != UInt8(ascii: "\\") else { throw .backslash }
    guard byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "#"), byte != UInt8(ascii: "?") else {
      throw .characterInvalid
    }
  }

  private static func refuseDecoded(
    _ byte: UInt8, behind lead: UInt8
  ) throws(PathFault) {
    guard byte >= 0x20, byte != 0x7F else { throw .controlCharacter }
    guard byte != UInt8(ascii: "\\") else { throw .backslash }
    // RFC 3629 §3: C0 and C1 begin ASCII in two bytes, E0 80–9F and F0 80–8F what needs fewer.
    // Lenient decoders made slashes of these. A lone C0 is Latin-1 and stays.
    switch lead {
    case 0xC0, 0xC1: if (0x80...0xBF).contains(byte) { throw .overlongEncoding }
    case 0xE0: if (0x80...0x9F).contains(byte) { throw .overlongEncoding }
    case 0xF0: if (0x80...0x8F).contains(byte) { throw .overlongEncoding }
    // U+0080 to U+009F are control characters too.
    case 0xC2: if (0x80...0x9F).contains(byte) { throw .controlCharacter }
    default: break
    }
  }

  /// Looks for `%25` and two digits behind it, where `%25%32%46` has become `%252F` already.
  private static func refuseDoubleEncoding(_ escaped: Span<UInt8>) throws(PathFault) {
    var index = 0
    while index < escaped.count {
      guard escaped[index] == UInt8(ascii: "%") else {
        index += 1
        continue
      }
      let isPercent =
        escaped[index + 1] == UInt8(ascii: "2") && escaped[index + 2] == UInt8(ascii: "5")
      index += 3
      guard isPercent, escaped.count - index >= 2,
        let high = ByteClass.hexValue(escaped[index]),
        let low = ByteClass.hexValue(escaped[index + 1])
      else { continue }
      switch high << 4 | low {
      case 0..<0x20, 0x7F, UInt8(ascii: "/"), UInt8(ascii: "\\"), UInt8(ascii: "."),
        UInt8(ascii: "%"):
        throw .doubleEncoding
      default:
        break
      }
    }
  }

  /// RFC 3986 §5.2.4, segment by segment into `keptEmpty`.
  private static func removeDots(_ path: inout NormalisedPath) throws(PathFault) {
    let escaped = path.escaped
    path.keptEmpty.removeAll(keepingCapacity: true)
    var start = 1
    while true {
      var end = start
      while end < escaped.count, escaped[end] != UInt8(ascii: "/") { end += 1 }
      let isLast = end == escaped.count
      switch dots(escaped.span, from: start, to: end) {
      case 1:
        if isLast { path.keptEmpty.append(UInt8(ascii: "/")) }
      case 2:
        try climb(&path.keptEmpty)
        if isLast { path.keptEmpty.append(UInt8(ascii: "/")) }
      default:
        try refuseHiddenDots(escaped.span, from: start, to: end)
        if start == end, !isLast { path.hadEmptySegments = true }
        path.keptEmpty.append(UInt8(ascii: "/"))
        for index in start..<end { path.keptEmpty.append(escaped[index]) }
      }
      if isLast { return }
      start = end + 1
    }
  }

  /// 1 for `.`, 2 for `..`, 0 for anything else.
  private static func dots(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
    guard end - start == 1 || end - start == 2 else { return 0 }
    for index in start..<end where bytes[index] != UInt8(ascii: ".") { return 0 }
    return end - start
  }

  /// Takes the last segment off.
  private static func climb(_ path: inout [UInt8]) throws(PathFault) {
    guard let last = path.last else { throw .climbsOut }
    guard last != UInt8(ascii: "/") else { throw .dotsBehindEmptySegment }
    while let last = path.popLast(), last != UInt8(ascii: "/") {}
  }

  /// Whether a part of the segment is a dot segment to who decodes `%2F` or cuts at `;`.
  private static func refuseHiddenDots(
    _ bytes: Span<UInt8>, from start: Int, to end: Int
  ) throws(PathFault) {
    var partStart = start
    var index = start
    while index < end {
      let width = separatorWidth(bytes, at: index, before: end)
      if width > 0 {
        if dots(bytes, from: partStart, to: index) > 0 { throw .dotsHidden }
        partStart = index + width
      }
      index += max(width, 1)
    }
    if partStart > start, dots(bytes, from: partStart, to: end) > 0 { throw .dotsHidden }
  }

  /// 1 for `;`, 3 for `%2F` and `%3B`, else 0.
  private static func separatorWidth(
    _ bytes: Span<UInt8>, at index: Int, before end: Int
  ) -> Int {
    if bytes[index] == UInt8(ascii: ";") { return 1 }
    guard bytes[index] == UInt8(ascii: "%"), end - index >= 3 else { return 0 }
    switch (bytes[index + 1], bytes[index + 2]) {
    case (UInt8(ascii: "2"), UInt8(ascii: "F")), (UInt8(ascii: "3"), UInt8(ascii: "B")): return 3
    default: return 0
    }
  }

  private static func mergeSlashes(_ path: inout NormalisedPath) {
    path.merged.removeAll(keepingCapacity: true)
    var previous: UInt8 = 0
    for byte in path.keptEmpty {
      if byte != UInt8(ascii: "/") || previous != UInt8(ascii: "/") { path.merged.append(byte) }
      previous = byte
    }
  }
}
