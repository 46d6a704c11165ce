import Wire

/// Judges the answers of one exchange for one target: an issued token that was checked, or a
/// refusal that says what it means. The table of reasons is ROUTES.md's; what RFC 8693 leaves open
/// is decided here, each where it is.
package struct ExchangeJudge: Sendable {
  private let settings: ExchangeSettings
  private let target: ExchangeTarget

  package init(_ settings: ExchangeSettings, target: ExchangeTarget) {
    self.settings = settings
    self.target = target
  }

  /// `subjectToken` is what was sent, and `subject` what it says; nil where the grant has no
  /// caller. `askedAtMs` is when the call began (`nowMs` where it is nil): the time it took is no
  /// part of a life told in seconds. What has ended by `nowMs` has ended, whenever it was asked
  /// for.
  package func judge(
    _ answer: TokenAnswer, subject: VerifiedToken?, subjectToken: Span<UInt8>,
    askedAtMs: Int64? = nil, nowMs: Int64
  ) throws(ExchangeRefusal) -> IssuedToken {
    switch answer.status {
    case 200:
      return try issued(
        answer, subject: subject, subjectToken: subjectToken, askedAtMs: askedAtMs ?? nowMs,
        nowMs: nowMs)
    case 429:
      throw ExchangeRefusal(
        .unavailable, note: note(answer.status),
        retryAfterSeconds: answer.retryAfterSeconds(nowMs: nowMs), mayBeSentAgain: true,
        asksForPatience: true)
    case 400..<500:
      throw refusal(answer)
    case 500..<600:
      throw ExchangeRefusal(
        .unavailable, note: note(answer.status),
        retryAfterSeconds: answer.retryAfterSeconds(nowMs: nowMs), countsForBreaker: true,
        mayBeSentAgain: (502...504).contains(answer.status))
    default:
      // A redirect above all: to follow it would send the caller's token, and ours, elsewhere.
      throw ExchangeRefusal(.misconfigured, note: note(answer.status))
    }
  }

  // Refusals

  private func refusal(_ answer: TokenAnswer) -> ExchangeRefusal {
    guard let (code, root) = oauthError(answer.body) else {
      return ExchangeRefusal(.misconfigured, note: note(answer.status), isRemembered: true)
    }
    let text = root["error_description"]?.string
    let note = note(code, text)
    if code == "invalid_client", answer.status == 400 || answer.status == 401 {
      // Counted, and so not remembered for one caller: it is as true for the next.
      return ExchangeRefusal(.misconfigured, note: note, countsForBreaker: true)
    }
    // Entra: the caller has to sign in anew, with these claims (its conditional access).
    let hasCaller = settings.grant != .clientCredentials
    if code == "interaction_required", hasCaller {
      return ExchangeRefusal(
        .subjectRefused, note: note, claimsChallenge: claimsChallenge(root), isRemembered: true)
    }
    // Without a caller's token nothing can be wrong with it, whatever the code usually means.
    let isSubjects =
      hasCaller
      && settings.subjectErrors.contains { known in
        known.error == code && (known.description == nil || known.description == text)
      }
    if isSubjects { return ExchangeRefusal(.subjectRefused, note: note, isRemembered: true) }
    let isOurs = code == "unauthorized_client" || code == "unsupported_grant_type"
    return ExchangeRefusal(isOurs ? .misconfigured : .denied, note: note, isRemembered: true)
  }

  /// RFC 6749 §5.2: an object with an `error` of visible characters. Its media type is not asked
  /// after: a refusal is a refusal.
  private func oauthError(_ body: [UInt8]) -> (code: UTF8Text, root: JSONNode)? {
    guard let root = parse(body), let code = root["error"]?.string else { return nil }
    let isPlain = code.bytes.allSatisfy { (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }
    return isPlain && (1...100).contains(code.bytes.count) ? (code, root) : nil
  }

  private func claimsChallenge(_ root: JSONNode) -> UTF8Text? {
    guard let claims = root["claims"]?.string, claims.bytes.count <= 4_096 else { return nil }
    return claims
  }

  /// The code and what was said, cut at 200 bytes. Services quote what they were sent: a text that
  /// may hold a token (each begins with `{"` in base64url) or our secret is left out.
  private func note(_ code: UTF8Text, _ text: UTF8Text?) -> UTF8Text {
    var note = isTelling(code.bytes) ? Array("a code that may hold a token".utf8) : code.bytes
    if let text, !isTelling(text.bytes) {
      note.append(contentsOf: Array(": ".utf8))
      note.append(contentsOf: text.bytes)
    }
    if note.count > 200 {
      var end = 200
      while end > 0, note[end] & 0xC0 == 0x80 { end -= 1 }  // not inside a character
      note.removeLast(note.count - end)
    }
    return UTF8Text(note)
  }

  private func isTelling(_ text: [UInt8]) -> Bool {
    let typed = [settings.client.secret, settings.actorToken].compactMap { $0?.revealed }
    // As they were sent: form-encoded, and in `Authorization`.
    let sent = typed.map { FormEncoding.encode($0) }
    let told = [Array("eyJ".utf8)] + typed + sent
    return told.contains { ByteScan.holds($0, in: text.span) } || holdsCredentials(text)
  }

  /// Whether the text quotes what `client_secret_basic` sends (RFC 6749 §2.3.1).
  private func holdsCredentials(_ text: [UInt8]) -> Bool {
    guard case .basic(let secret) = settings.client.method else { return false }
    let sent = TokenExchange.credentials(id: settings.client.id, secret: secret)
    return ByteScan.holds(sent, in: text.span)
  }

  private func note(_ status: Int) -> UTF8Text { UTF8Text("status \(status)") }

  private func parse(_ body: [UInt8]) -> JSONNode? {
    do throws(JSONFault) { return try TokenAnswer.parser.parse(body) } catch { return nil }
  }

  // Issued tokens

  private func issued(
    _ answer: TokenAnswer, subject: VerifiedToken?, subjectToken: Span<UInt8>,
    askedAtMs: Int64, nowMs: Int64
  ) throws(ExchangeRefusal) -> IssuedToken {
    guard answer.isJSON, let root = parse(answer.body) else {
      throw ExchangeRefusal(.misconfigured, note: "200 without JSON")
    }
    guard let token = root["access_token"]?.string?.bytes, isBearerToken(token) else {
      throw ExchangeRefusal(.misconfigured, note: "no access_token that is a bearer token")
    }
    try checkTypes(root)
    // The caller's token goes nowhere, also when a token service hands it back as it came.
    guard !isSame(token, subjectToken) else {
      throw ExchangeRefusal(.unverified, note: "the caller's own token came back")
    }
    try refuseUnreadableJWT(token)
    var endsAtMs = try lifeMs(root["expires_in"]).map { NumericDate.sum(askedAtMs, $0) }
    if let claims = IssuedClaims(token) {
      try check(claims.root, subject: subject)
      if let exp = claims.root["exp"] {
        guard let end = NumericDate.milliseconds(exp) else {
          throw ExchangeRefusal(.unverified, note: "the issued token's exp is no number")
        }
        // RFC 7519 §4.1.4: on or after its end it must not be accepted: no service can use it.
        guard end > nowMs else {
          throw ExchangeRefusal(.unverified, note: "the issued token has expired already")
        }
        endsAtMs = min(endsAtMs ?? end, end)
      }
    } else if settings.verify.signature {
      throw ExchangeRefusal(.unverified, note: "the issued token is no JWT")
    }
    return IssuedToken(token, endsAtMs: endsAtMs)
  }

  /// `token_type` and `issued_token_type` (RFC 8693 §2.2.1).
  ///
  /// The type issued must be one that can be sent as a bearer token: an access token, a JWT, or
  /// what the routes file asked for; where it isn't said, as many services don't, an access token.
  /// `token_type` must be there and be `Bearer`. `N_A` means "not usable as an access token", so it
  /// is taken only where another type was issued and says so itself.
  private func checkTypes(_ root: JSONNode) throws(ExchangeRefusal) {
    let accessToken: UTF8Text = "urn:ietf:params:oauth:token-type:access_token"
    let jwt: UTF8Text = "urn:ietf:params:oauth:token-type:jwt"
    var issuedType = accessToken
    if let node = root["issued_token_type"], !node.isNull {
      guard let type = node.string,
        type == accessToken || type == jwt || type == settings.requestedTokenType
      else { throw ExchangeRefusal(.misconfigured, note: "issued_token_type is of no use here") }
      issuedType = type
    }
    guard let type = root["token_type"]?.string else {
      throw ExchangeRefusal(.misconfigured, note: "no token_type")
    }
    let isBearer = type.equalsIgnoringASCIICase("Bearer")
    let isNotApplicable = type.equalsIgnoringASCIICase("N_A") && issuedType != accessToken
    guard isBearer || isNotApplicable else {
      throw ExchangeRefusal(.misconfigured, note: "token_type is not Bearer")
    }
  }

  /// `expires_in` in milliseconds. A number, or a text of digits, which some services write and
  /// most clients read; no life at all and nonsense are a broken answer.
  private func lifeMs(_ node: JSONNode?) throws(ExchangeRefusal) -> Int64? {
    guard let node, !node.isNull else { return nil }
    if let text = node.string {
      if let seconds = Decimal.parse(text.bytes.span) {
        return NumericDate.milliseconds(seconds: Int64(clamping: seconds))
      }
    } else if let double = node.number?.double, double >= 0,
      let milliseconds = NumericDate.milliseconds(node)
    {
      return milliseconds
    }
    throw ExchangeRefusal(.misconfigured, note: "expires_in is no number of seconds")
  }

  /// RFC 6750 §2.1's `b64token`, of a length that fits a header.
  private func isBearerToken(_ token: [UInt8]) -> Bool {
    guard (1...16_384).contains(token.count) else { return false }
    let end = (token.lastIndex { $0 != UInt8(ascii: "=") } ?? -1) + 1
    return end > 0
      && token[..<end].allSatisfy { byte in
        ByteClass.isUnreserved(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
      }
  }

  /// What a service that reads less strictly takes for a JWT must not pass here for an opaque
  /// token, of which nothing is checked: a claim that is there twice, bytes that are no UTF-8.
  private func refuseUnreadableJWT(_ token: [UInt8]) throws(ExchangeRefusal) {
    let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, looksLikeObject(parts[0]), IssuedClaims(token) == nil else { return }
    throw ExchangeRefusal(.unverified, note: "the issued token is a JWT that can't be read")
  }

  /// Whether some reader would begin to read an object there: a brace, and a member's name or the
  /// other brace, with blanks before each (RFC 8259 §2). Some readers take any control character
  /// for a blank, pass over a byte order mark, read base64 in either alphabet, or whatever its last
  /// bits are.
  private func looksLikeObject(_ part: ArraySlice<UInt8>) -> Bool {
    var whole = part.map { byte in
      switch byte {
      case UInt8(ascii: "+"): UInt8(ascii: "-")
      case UInt8(ascii: "/"): UInt8(ascii: "_")
      default: byte
      }
    }
    while !whole.count.isMultiple(of: 4) { whole.append(UInt8(ascii: "A")) }
    guard let bytes = Base64URL.decode(whole) else { return false }
    let text = bytes.drop { $0 <= 0x20 || $0 == 0xEF || $0 == 0xBB || $0 == 0xBF }
    guard text.first == UInt8(ascii: "{") else { return false }
    let next = text.dropFirst().first { $0 > 0x20 }
    return next == UInt8(ascii: "\"") || next == UInt8(ascii: "}")
  }

  private func isSame(_ token: [UInt8], _ other: Span<UInt8>) -> Bool {
    guard token.count == other.count else { return false }
    for index in token.indices where token[index] != other[index] { return false }
    return true
  }

  /// `verify`: an issued JWT is for what was asked, and speaks of the same person.
  private func check(
    _ claims: JSONNode, subject: VerifiedToken?
  ) throws(ExchangeRefusal) {
    let wanted: [UTF8Text]? =
      switch settings.verify.audience {
      case .any: nil
      case .list(let list): list
      // Services write either kind of name into `aud`, so one of all that was asked for must be
      // there.
      case .requested where target.audiences.isEmpty && target.resources.isEmpty: nil
      case .requested: target.audiences + target.resources
      }
    if let wanted {
      guard audiences(claims["aud"]).contains(where: wanted.contains) else {
        throw ExchangeRefusal(.unverified, note: "the issued token is for another audience")
      }
    }
    guard let subject else { return }
    let isSubjects =
      switch settings.verify.subject {
      case .any: true
      case .same: OAuth.isSame(subject.claims["sub"], claims["sub"])
      case .claims(let caller, let issued):
        OAuth.isSame(caller.value(in: subject.claims), issued.value(in: claims))
      }
    guard isSubjects else {
      throw ExchangeRefusal(.unverified, note: "the issued token is another subject's")
    }
  }

  private func audiences(_ node: JSONNode?) -> [UTF8Text] {
    if let text = node?.string { return [text] }
    return (node?.elements ?? []).compactMap(\.string)
  }
}

/// The claims of an issued token, where it is a JWT: three parts of base64url, the first two of
/// them JSON objects. Its signature is not looked at; it came from the token service itself.
private struct IssuedClaims {
  let root: JSONNode

  init?(_ token: [UInt8]) {
    let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, Self.object(parts[0]) != nil, let claims = Self.object(parts[1]) else {
      return nil
    }
    root = claims
  }

  private static func object(_ part: ArraySlice<UInt8>) -> JSONNode? {
    guard let bytes = Base64URL.decode(Array(part)) else { return nil }
    do throws(JSONFault) {
      let node = try TokenAnswer.parser.parse(bytes)
      return node.members == nil ? nil : node
    } catch {
      return nil
    }
  }
}
