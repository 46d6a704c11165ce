import Crypto
import JOSE
import OAuth
import Testing
import Wire

/// A moment in 2026, in milliseconds since 1970.
let nowMs: Int64 = 1_780_000_000_000

extension IssuerSettings {
  /// The settings of a routes file that says no more than it must.
  static func make(
    issuer: UTF8Text = "https://issuer.test",
    audiences: AcceptedAudiences = .list(["https://gateway.test"]), audienceClaim: String = "aud",
    algorithms: Set<SignatureAlgorithm> = Set(SignatureAlgorithm.allCases),
    types: [UTF8Text]? = nil, clockSkewMs: Int64 = 30_000, maxAgeMs: Int64? = nil,
    identities: IdentityRules? = nil, digestInput: [UInt8] = [1]
  ) -> IssuerSettings {
    let auto = IdentityPreset.auto(for: issuer).map(IdentityRule.preset)
    return IssuerSettings(
      name: "test", issuer: issuer, discovery: nil, keys: .discovery, jwksRefreshMs: 300_000,
      ca: nil, timeoutMs: 5_000, audiences: audiences,
      audienceClaim: ClaimName(member: UTF8Text(audienceClaim)), algorithms: algorithms,
      types: types, clockSkewMs: clockSkewMs, maxAgeMs: maxAgeMs,
      identities: identities ?? IdentityRules(system: auto, person: auto),
      digestInput: digestInput, place: .none)
  }
}

extension ConfigPlace {
  static let none = ConfigPlace(file: "routes.json", range: 0..<0, key: "")
}

/// An issuer with one key, and the gateway's trust in it.
struct TestIssuer {
  let signer: JWSSigner
  let keys: JWKSet
  let digester: Digester

  init(_ kind: PrivateKey.Kind = .p256, keyID: UTF8Text = "k1") throws {
    digester = try Digester()
    signer = JWSSigner(key: try PrivateKey(generate: kind), keyID: keyID)
    keys = try JWKSet(document: signer.makeKeySet())
  }

  /// A token whose claims are good ones but for those given; a nil takes one away. Values are JSON.
  func token(
    type: UTF8Text? = "at+jwt", _ changes: KeyValuePairs<String, String?> = [:]
  ) throws -> [UInt8] {
    try signer.sign(payload: Array(Self.claims(changes).utf8), type: type)
  }

  static func claims(_ changes: KeyValuePairs<String, String?>) -> String {
    var claims: [(name: String, value: String?)] = [
      ("iss", "\"https://issuer.test\""), ("aud", "\"https://gateway.test\""),
      ("sub", "\"user-1\""), ("client_id", "\"app\""), ("scope", "\"read write\""),
      ("iat", "1779999990"), ("exp", "1780000300"), ("jti", "\"j-1\""),
    ]
    for (name, value) in changes {
      claims.removeAll { $0.name == name }
      claims.append((name, value))
    }
    let members = claims.compactMap { claim in claim.value.map { "\"\(claim.name)\":\($0)" } }
    return "{" + members.joined(separator: ",") + "}"
  }

  func verify(
    _ token: [UInt8], _ settings: IssuerSettings = .make(), atMs now: Int64 = nowMs,
    exchanging: Bool = false
  ) throws(TokenFault) -> VerifiedToken {
    try OAuthTests.verify(
      token, keys: keys, settings: settings, atMs: now, exchanging: exchanging, digester)
  }

  /// What the token is refused for; nil where it is not.
  func fault(
    _ token: [UInt8], _ settings: IssuerSettings = .make(), atMs now: Int64 = nowMs,
    exchanging: Bool = false
  ) -> TokenFault? {
    do throws(TokenFault) {
      _ = try verify(token, settings, atMs: now, exchanging: exchanging)
      return nil
    } catch {
      return error
    }
  }
}

func verify(
  _ token: [UInt8], keys: JWKSet, settings: IssuerSettings, atMs now: Int64,
  exchanging: Bool = false, _ digester: Digester
) throws(TokenFault) -> VerifiedToken {
  let unverified = try UnverifiedToken(token.span)
  let rules = IssuerRules(settings, digester: digester)
  return try unverified.verify(by: rules, keys: keys, nowMs: now, exchanging: exchanging)
}

extension JWKSet {
  init(document: [UInt8]) throws {
    try self.init(document.span, digester: try Digester())
  }
}

extension JSONNode {
  init(_ text: String) throws {
    self = try JSONParser(.strict, bytesMax: 1 << 20).parse(Array(text.utf8))
  }
}
