import HTTP
import Reactor
import Wire

/// Finds the bearer token of a request (RFC 6750 §2).
enum Credential {
  /// Where the token stands in the head, on a route that takes it from the header alone.
  ///
  /// - Throws: `token_missing` without one, other schemes included; `token_malformed` (400) for a
  ///   broken or repeated one.
  static func find(in request: Request) throws(Refusal) -> Range<Int> {
    guard let range = try inHeader(of: request) else { throw Refusal(.tokenMissing) }
    return range
  }

  /// The same on a route that looks in several places, or in others; notes on the request where it
  /// was, and the token itself where it stands there escaped.
  ///
  /// Each occurrence counts, also an empty one and one that repeats another: whichever was taken,
  /// somebody else would take the other (RFC 6750 §2: one method a request).
  static func find(
    in request: Request, at sources: Route.Sources
  ) throws(Refusal) -> Range<Int> {
    var found: Range<Int>?
    for source in sources.list {
      func take(_ range: Range<Int>) throws(Refusal) {
        if found != nil { throw Refusal(.credentialMalformed, "There is more than one token.") }
        found = range
        request.tokenSource = source
      }
      if source == .header {
        if let range = try inHeader(of: request) { try take(range) }
      } else {
        try sources.places.forEachValue(source, in: request, take)
      }
    }
    // A cookie without a value is what is left of a session that has ended.
    guard let found, !found.isEmpty else {
      request.tokenSource = .header
      throw Refusal(.tokenMissing)
    }
    guard found.count <= Limits.tokenBytesMax else {
      throw Refusal(.credentialMalformed, "The token is too long.")
    }
    if request.tokenSource != .header {
      let received = request.connection.received
      let value = received.slice(found)
      if hasEscapes(value) {
        guard let token = PercentEncoding.decode(value) else { throw Refusal(.credentialMalformed) }
        request.unescapedToken = token
      }
    }
    return found
  }

  /// Where the token of `Authorization` stands; nil without the field, or with another scheme.
  private static func inHeader(of request: Request) throws(Refusal) -> Range<Int>? {
    let head = request.connection.head
    guard let line = head.first(.authorization) else { return nil }
    if head.repeatedNames.contains(.authorization) {
      throw Refusal(.credentialMalformed, "There is more than one Authorization field.")
    }
    let received = request.connection.received
    return try token(in: received.slice(line.value), at: line.value.lowerBound)
  }

  private static func token(
    in value: Span<UInt8>, at offset: Int
  ) throws(Refusal) -> Range<Int>? {
    var end = 0
    while end < value.count, !ByteClass.isBlank(value[end]) { end += 1 }
    guard end == 6, isBearer(value) else { return nil }
    var start = end
    while start < value.count, value[start] == UInt8(ascii: " ") { start += 1 }
    guard start < value.count else { throw Refusal(.credentialMalformed) }
    guard value.count - start <= Limits.tokenBytesMax else {
      throw Refusal(.credentialMalformed, "The token is too long.")
    }
    return (offset + start)..<(offset + value.count)
  }

  /// Looks at every byte of a token.
  static func check(_ token: Span<UInt8>) throws(Refusal) {
    for index in 0..<token.count where !isTokenCharacter(token[index]) {
      throw Refusal(.credentialMalformed)
    }
  }

  private static func hasEscapes(_ value: Span<UInt8>) -> Bool {
    for index in 0..<value.count where value[index] == UInt8(ascii: "%") { return true }
    return false
  }

  private static func isBearer(_ value: Span<UInt8>) -> Bool {
    value[0] | 32 == UInt8(ascii: "b") && value[1] | 32 == UInt8(ascii: "e")
      && value[2] | 32 == UInt8(ascii: "a") && value[3] | 32 == UInt8(ascii: "r")
      && value[4] | 32 == UInt8(ascii: "e") && value[5] | 32 == UInt8(ascii: "r")
  }

  /// `b64token` of RFC 6750 §2.1; its padding may stand anywhere here, the JWT parser refuses it.
  private static func isTokenCharacter(_ byte: UInt8) -> Bool {
    ByteClass.isUnreserved(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
      || byte == UInt8(ascii: "=")
  }
}
