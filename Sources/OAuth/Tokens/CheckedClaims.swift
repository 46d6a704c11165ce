import Crypto
import Wire

/// The registered claims of a token (RFC 7519 §4.1), each of its type and within its bounds.
struct CheckedClaims {
  let subject: UTF8Text?
  let tokenID: UTF8Text?
  let scopes: [UTF8Text]
  let expiresAtMs: Int64
  let binding: SHA256Digest?

  /// Checks all but the signature, and of `exp` only with the issuer's skew.
  init(
    _ claims: JSONNode, headerType: UTF8Text?, _ settings: IssuerSettings, nowMs: Int64
  ) throws(TokenFault) {
    expiresAtMs = try Self.checkTimes(claims, settings, nowMs: nowMs)
    try Self.checkAudience(claims, settings)
    try Self.checkType(claims, headerType: headerType, accepted: settings.types)
    subject = try Self.text("sub", in: claims)
    tokenID = try Self.text("jti", in: claims)
    scopes = try Self.scopes("scope", in: claims) + Self.scopes("scp", in: claims)
    binding = try Self.binding(claims)
  }

  /// RFC 8705 §3.1: the certificate that the token is bound to.
  ///
  /// RFC 7800 §3.1: such a token is only good beside a proof of its key. What nothing here can
  /// check (`jkt` of DPoP, `jwk`, `kid`, …), also beside a certificate, would pass as a mere bearer
  /// token and undo what its issuer asked for.
  static func binding(_ claims: JSONNode) throws(TokenFault) -> SHA256Digest? {
    guard let confirmation = claims["cnf"] else { return nil }
    guard confirmation.members?.count == 1, let text = confirmation["x5t#S256"]?.string,
      let bytes = Base64URL.decode(text.bytes), let thumbprint = SHA256Digest(bytes.span)
    else { throw .bindingUnverified }
    return thumbprint
  }

  /// `exp`, `nbf` and `iat` (RFC 7519 §4.1.4–6); gives the end.
  static func checkTimes(
    _ claims: JSONNode, _ settings: IssuerSettings, nowMs: Int64
  ) throws(TokenFault) -> Int64 {
    guard var end = try date("exp", in: claims) else { throw .claimsInvalid }
    let notBefore = try date("nbf", in: claims)
    let issuedAt = try date("iat", in: claims)
    if let maxAgeMs = settings.maxAgeMs {
      // A token that does not say its age, or says one from tomorrow, has none that could be
      // checked.
      guard let issuedAt else { throw .claimsInvalid }
      guard issuedAt <= NumericDate.sum(nowMs, settings.clockSkewMs) else { throw .notYetValid }
      end = min(end, NumericDate.sum(issuedAt, maxAgeMs))
    }
    // On or after `exp` it must not be accepted, so the end itself is no part of its life.
    guard nowMs < NumericDate.sum(end, settings.clockSkewMs) else { throw .expired }
    if let notBefore, NumericDate.sum(nowMs, settings.clockSkewMs) < notBefore {
      throw .notYetValid
    }
    return end
  }

  /// RFC 7519 §4.1.3: one of the audiences accepted must be among the token's.
  static func checkAudience(
    _ claims: JSONNode, _ settings: IssuerSettings
  ) throws(TokenFault) {
    // A broken `aud` is refused even where another claim, or none, is looked at.
    _ = try texts(claims["aud"])
    let audiences = try texts(settings.audienceClaim.value(in: claims))
    switch settings.audiences {
    case .any: return
    case .list(let accepted):
      guard audiences.contains(where: accepted.contains) else { throw .audienceWrong }
    }
  }

  /// RFC 8725 §3.11: other kinds of JWT of the same issuer are signed with the same keys.
  static func checkType(
    _ claims: JSONNode, headerType: UTF8Text?, accepted: [UTF8Text]?
  ) throws(TokenFault) {
    let type = headerType.map(mediaType)
    if let accepted {
      guard let type, accepted.contains(type) else { throw .typeRefused }
    } else if let type {
      guard type == "jwt" || type == "jose" || type == "at+jwt" else { throw .typeRefused }
    }
    // Keycloak says in the payload what else it signs.
    let payloadType = try text("typ", in: claims)
    for refused: UTF8Text in ["ID", "Refresh", "Offline", "Logout"]
    where payloadType?.equalsIgnoringASCIICase(refused) == true {
      throw .typeRefused
    }
    // Cognito marks ID tokens so.
    if claims["token_use"]?.string?.equalsIgnoringASCIICase("id") == true { throw .typeRefused }
    // Only ID tokens have a `c_hash`; only security events (logout tokens among them) `events`.
    if claims["c_hash"] != nil || claims["events"] != nil { throw .typeRefused }
    // Both are an ID token's too, but some issuers copy them into access tokens, which then say so.
    if claims["nonce"] != nil || claims["at_hash"] != nil {
      guard type == "at+jwt" || payloadType == "Bearer" else { throw .typeRefused }
    }
  }

  /// RFC 7515 §4.1.9: without case, and `application/` may be left out.
  private static func mediaType(_ type: UTF8Text) -> UTF8Text {
    let lower = UTF8Text(type.bytes.map(ByteClass.lowercased))
    let prefix: UTF8Text = "application/"
    guard lower.hasPrefix(prefix) else { return lower }
    return UTF8Text(Array(lower.bytes.dropFirst(prefix.bytes.count)))
  }

  /// RFC 6749 §3.3: words with a space between. As a list too, as some issuers write them.
  static func scopes(
    _ name: UTF8Text, in claims: JSONNode
  ) throws(TokenFault) -> [UTF8Text] {
    guard let node = claims[name] else { return [] }
    if let text = node.string {
      return text.bytes.split(separator: UInt8(ascii: " ")).map { UTF8Text(Array($0)) }
    }
    return try texts(node)
  }

  static func date(
    _ name: UTF8Text, in claims: JSONNode
  ) throws(TokenFault) -> Int64? {
    guard let node = claims[name] else { return nil }
    guard let date = NumericDate.milliseconds(node) else { throw .claimsInvalid }
    return date
  }

  static func text(
    _ name: UTF8Text, in claims: JSONNode
  ) throws(TokenFault) -> UTF8Text? {
    guard let node = claims[name] else { return nil }
    guard let text = node.string else { throw .claimsInvalid }
    return text
  }

  /// A text, or a list of texts and nothing else; nothing at all is an empty list.
  static func texts(_ node: JSONNode?) throws(TokenFault) -> [UTF8Text] {
    guard let node else { return [] }
    if let text = node.string { return [text] }
    guard let elements = node.elements else { throw .claimsInvalid }
    var texts: [UTF8Text] = []
    for element in elements {
      guard let text = element.string else { throw .claimsInvalid }
      texts.append(text)
    }
    return texts
  }
}
