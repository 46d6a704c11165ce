extension RequestHead {
  /// Reads `METHOD SP TARGET SP VERSION`, single spaces, nothing around them (RFC 9112 §3).
  ///
  /// `start..<end` is the line without its CRLF.
  func readRequestLine(
    _ bytes: Span<UInt8>, from start: Int, to end: Int
  ) throws(RequestFault) {
    let methodEnd = Self.tokenEnd(bytes, from: start, to: end)
    guard methodEnd > start, methodEnd < end, bytes[methodEnd] == UInt8(ascii: " ") else {
      throw .malformed(methodEnd == end ? .requestLineInvalid : .methodInvalid)
    }
    methodRange = start..<methodEnd
    method = Method(bytes.extracting(methodRange))

    let targetStart = methodEnd + 1
    var targetEnd = targetStart
    var question = -1
    while targetEnd < end {
      let byte = bytes[targetEnd]
      if byte == UInt8(ascii: " ") { break }
      // Visible ASCII. A fragment is never sent; what is not ASCII must be escaped (RFC 3986 §2).
      guard byte &- 0x21 < 0x7F - 0x21, byte != UInt8(ascii: "#") else {
        throw .malformed(.targetInvalid)
      }
      if byte == UInt8(ascii: "?"), question < 0 { question = targetEnd }
      targetEnd &+= 1
    }
    guard targetEnd > targetStart, targetEnd < end else { throw .malformed(.requestLineInvalid) }
    target = targetStart..<targetEnd

    switch HTTPVersion.read(bytes, from: targetEnd + 1, to: end) {
    case .minor(let minor): minorVersion = minor
    case .unsupported: throw .versionUnsupported
    case .invalid: throw .malformed(.requestLineInvalid)
    }
    try readTarget(bytes, question: question < 0 ? nil : question)
  }

  /// Splits the target by the form that it has (RFC 9112 §3.2).
  private func readTarget(
    _ bytes: Span<UInt8>, question: Int?
  ) throws(RequestFault) {
    // Tunnels are not this gateway's business, whatever their target looks like.
    guard method != .connect else { throw .connectMethod }
    query = question.map { ($0 + 1)..<target.upperBound }
    let pathEnd = question ?? target.upperBound
    switch bytes[target.lowerBound] {
    case UInt8(ascii: "/"):
      targetForm = .origin
      path = target.lowerBound..<pathEnd
    case UInt8(ascii: "*"):
      guard target.count == 1, method == .options else { throw .malformed(.targetFormInvalid) }
      targetForm = .asterisk
    default:
      try readAbsoluteTarget(bytes, pathEnd: pathEnd)
    }
  }

  /// `http://authority/path?query` or `https://…`; every other scheme is refused.
  private func readAbsoluteTarget(
    _ bytes: Span<UInt8>, pathEnd: Int
  ) throws(RequestFault) {
    guard let (found, authorityStart) = Self.scheme(bytes, from: target.lowerBound, to: pathEnd)
    else { throw .malformed(.targetFormInvalid) }
    var authorityEnd = authorityStart
    while authorityEnd < pathEnd, bytes[authorityEnd] != UInt8(ascii: "/") { authorityEnd += 1 }
    scheme = found
    path = authorityEnd..<pathEnd
    authorityRange = authorityStart..<authorityEnd
    do throws(Authority.Fault) {
      try authority.parse(bytes.extracting(authorityStart..<authorityEnd))
    } catch {
      throw .malformed(.authorityInvalid)
    }
    // RFC 9112 §3.2.4: that is how OPTIONS * looks to a proxy.
    let isServerWide = method == .options && path.isEmpty && query == nil
    targetForm = isServerWide ? .asterisk : .absolute
  }

  /// The scheme, without case, and the index behind its `://`.
  private static func scheme(
    _ bytes: Span<UInt8>, from start: Int, to end: Int
  ) -> (Scheme, Int)? {
    var colon = start
    var packed: UInt64 = 0
    while colon < end, colon - start < 6, bytes[colon] != UInt8(ascii: ":") {
      packed = packed << 8 | UInt64(ByteClass.lowercased(bytes[colon]))
      colon += 1
    }
    guard end - colon >= 3, bytes[colon] == UInt8(ascii: ":"),
      bytes[colon + 1] == UInt8(ascii: "/"), bytes[colon + 2] == UInt8(ascii: "/")
    else { return nil }
    switch packed {
    case 0x6874_7470: return (.http, colon + 3)
    case 0x68_7474_7073: return (.https, colon + 3)
    default: return nil
    }
  }

  private static func tokenEnd(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
    var index = start
    while index < end, ByteClass.isToken(bytes[index]) { index &+= 1 }
    return index
  }
}

/// `HTTP/1.0` and `HTTP/1.1`, in capitals (RFC 9112 §2.3).
enum HTTPVersion {
  case minor(UInt8)
  /// Written as a version, but none that is spoken here: 2.0 of HTTP/2's preface among them.
  case unsupported
  case invalid

  /// Reads `start..<end`, which must be the version and nothing else.
  static func read(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> HTTPVersion {
    guard end - start == 8 else { return .invalid }
    var name: UInt64 = 0
    for index in start..<(start + 5) { name = name << 8 | UInt64(bytes[index]) }
    let major = bytes[start + 5]
    let minor = bytes[start + 7]
    guard name == 0x48_5454_502F, ByteClass.isDigit(major), ByteClass.isDigit(minor),
      bytes[start + 6] == UInt8(ascii: ".")
    else { return .invalid }
    switch (major, minor) {
    case (UInt8(ascii: "1"), UInt8(ascii: "1")): return .minor(1)
    case (UInt8(ascii: "1"), UInt8(ascii: "0")): return .minor(0)
    default: return .unsupported
    }
  }
}
