import Crypto
import JOSE
import Reactor
import Wire

/// Makes the demo's tokens: people's (RS256), systems' and exchanged ones (ES256), and those that
/// the gateway must turn away.
struct TokenMint: Sendable {
  /// What is wrong with a person's token, on request.
  enum Flaw: String, CaseIterable, Sendable {
    case expired
    /// Somebody else's name was written into a token that was good.
    case forged
    case wrongAudience = "wrong-audience"
    /// `alg` is `none`, and the signature is empty.
    case unsigned
  }

  /// Whom callers' tokens are for: the gateway.
  static let gatewayAudience = "https://gateway.example"
  /// The app that people use; the `client_id` of their tokens.
  private static let app = "webshop"
  /// Of callers' tokens, and of those that services get: short, as real ones are.
  static let callerLifeSeconds: Int64 = 3_600
  private static let issuedLifeSeconds: Int64 = 300

  let issuer: String
  private let people: JWSSigner
  private let systems: JWSSigner

  init(issuer: String) throws(CryptoFault) {
    self.issuer = issuer
    people = JWSSigner(key: try PrivateKey(generate: .rsa2048), keyID: "people")
    systems = JWSSigner(key: try PrivateKey(generate: .p256), keyID: "systems")
  }

  /// The JWK set with both keys' public halves.
  var keySet: [UInt8] {
    let keys = [people, systems].map { signer in
      signer.key.numbers.makeJWK(keyID: signer.keyID, algorithm: signer.algorithm)
    }
    return Array("{\"keys\":[".utf8) + Array(keys.joined(separator: [UInt8(ascii: ",")]))
      + Array("]}\n".utf8)
  }

  /// The public keys by their `kid`, for those who check.
  func makePublicKeys() throws(CryptoFault) -> [UTF8Text: PublicKey] {
    [
      people.keyID: try PublicKey(people.key.numbers, for: [people.algorithm]),
      systems.keyID: try PublicKey(systems.key.numbers, for: [systems.algorithm]),
    ]
  }

  /// A person's token for the gateway.
  func makePerson(_ name: UTF8Text, flaw: Flaw? = nil) throws(CryptoFault) -> [UInt8] {
    let claims = try personClaims(name, flaw)
    switch flaw {
    case nil, .expired, .wrongAudience: return try people.sign(payload: claims, type: "at+jwt")
    case .unsigned: return Self.makeUnsigned(claims)
    case .forged: return try makeForged(claims, of: try personClaims("mallory", nil))
    }
  }

  private func personClaims(_ name: UTF8Text, _ flaw: Flaw?) throws(CryptoFault) -> [UInt8] {
    let issuedAt = Self.now() - (flaw == .expired ? 2 * Self.callerLifeSeconds : 0)
    let audience = flaw == .wrongAudience ? "https://elsewhere.example" : Self.gatewayAudience
    return try claims(
      subject: name, audience: UTF8Text(audience), client: UTF8Text(Self.app), userType: "person",
      issuedAt: issuedAt, expiresAt: issuedAt + Self.callerLifeSeconds)
  }

  private static func makeUnsigned(_ claims: [UInt8]) -> [UInt8] {
    join("{\"alg\":\"none\",\"typ\":\"at+jwt\"}", claims, signature: [])
  }

  /// The signature over `claims` below other ones.
  private func makeForged(_ claims: [UInt8], of other: [UInt8]) throws(CryptoFault) -> [UInt8] {
    let token = try people.sign(payload: claims, type: "at+jwt")
    let parts = token.split(separator: Self.dot)
    let header = Base64URL.decode(Array(parts[0])) ?? []
    return Self.join(
      String(decoding: header, as: UTF8.self), other, signature: Array(parts[parts.count - 1]))
  }

  /// - Parameter signature: encoded.
  private static func join(_ header: String, _ claims: [UInt8], signature: [UInt8]) -> [UInt8] {
    var token = Base64URL.encode(Array(header.utf8))
    token.append(dot)
    token += Base64URL.encode(claims)
    token.append(dot)
    return token + signature
  }

  /// A system's token for the gateway, as the client-credentials grant gives it: `userType` is
  /// `system`, and `sub` is the client itself.
  func makeSystem(client: UTF8Text) throws(CryptoFault) -> [UInt8] {
    let issuedAt = Self.now()
    return try systems.sign(
      payload: try claims(
        subject: client, audience: UTF8Text(Self.gatewayAudience), client: client,
        userType: "system", issuedAt: issuedAt, expiresAt: issuedAt + Self.callerLifeSeconds),
      type: "at+jwt")
  }

  /// A token for a service, in the name of `subject`.
  ///
  /// - Parameter subjectExpiresAt: the end of the token that it is given for; it ends no later.
  /// - Returns: the token and its life in seconds.
  func makeExchanged(
    subject: UTF8Text, audience: UTF8Text, client: UTF8Text, subjectExpiresAt: Int64
  ) throws(CryptoFault) -> (token: [UInt8], lifeSeconds: Int64) {
    let issuedAt = Self.now()
    let expiresAt = min(issuedAt + Self.issuedLifeSeconds, subjectExpiresAt)
    let claims = try claims(
      subject: subject, audience: audience, client: client, userType: "person",
      issuedAt: issuedAt, expiresAt: expiresAt)
    return (try systems.sign(payload: claims, type: "at+jwt"), expiresAt - issuedAt)
  }

  /// In seconds since 1970.
  static func now() -> Int64 { Clock.wallMs() / 1_000 }

  private func claims(
    subject: UTF8Text, audience: UTF8Text, client: UTF8Text, userType: String, issuedAt: Int64,
    expiresAt: Int64
  ) throws(CryptoFault) -> [UInt8] {
    // In one line with the next it breaks the optimizer of Swift 6.3.1 ("does not dominate all
    // uses").
    let random = try RandomBytes.make(count: 8)
    let serial = Hex.encode(random.span)
    return JSONText.compact(
      JSONText.object([
        ("iss", JSONText.text(issuer)), ("sub", .string(subject)), ("aud", .string(audience)),
        ("client_id", .string(client)), ("userType", JSONText.text(userType)),
        ("iat", JSONText.integer(issuedAt)), ("exp", JSONText.integer(expiresAt)),
        ("jti", .string(UTF8Text(serial))),
      ]))
  }

  private static let dot = UInt8(ascii: ".")
}
