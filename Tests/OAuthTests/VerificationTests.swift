import Crypto
import JOSE
import OAuth
import Testing
import Wire

@Suite struct VerificationTests {
  let issuer: TestIssuer

  init() throws { issuer = try TestIssuer() }

  private func fault(
    _ changes: KeyValuePairs<String, String?>, type: UTF8Text? = nil,
    _ settings: IssuerSettings = .make()
  ) throws -> TokenFault? {
    issuer.fault(try issuer.token(type: type, changes), settings)
  }

  @Test func `a good token is believed, and says what it is`() throws {
    let token = try issuer.verify(try issuer.token())
    #expect(token.issuerName == "test")
    #expect(token.issuer == "https://issuer.test")
    #expect(token.subject == "user-1")
    #expect(token.tokenID == "j-1")
    #expect(token.scopes == ["read", "write"])
    #expect(token.hasScopes(["write"]))
    #expect(token.hasScopes([]))
    #expect(!token.hasScopes(["write", "admin"]))
    #expect(token.expiresAtMs == 1_780_000_300_000)
    #expect(token.claims["client_id"]?.string == "app")
  }

  static let claims: [(String, String?, TokenFault?)] = [
    ("iss", nil, .issuerUnknown), ("iss", "\"https://ISSUER.test\"", .issuerUnknown),
    ("iss", "\"https://issuer.test/\"", .issuerUnknown), ("iss", "1", .claimsInvalid),
    ("iss", "[\"https://issuer.test\"]", .claimsInvalid), ("iss", "null", .claimsInvalid),
    ("aud", nil, .audienceWrong), ("aud", "\"\"", .audienceWrong), ("aud", "[]", .audienceWrong),
    ("aud", "\"https://gateway.test.evil\"", .audienceWrong), ("aud", "null", .claimsInvalid),
    ("aud", "{\"https://gateway.test\":1}", .claimsInvalid),
    ("aud", "[\"https://gateway.test\",1]", .claimsInvalid),
    ("aud", "[\"x\",\"https://gateway.test\"]", nil),
    ("exp", nil, .claimsInvalid), ("exp", "\"1780000300\"", .claimsInvalid),
    ("exp", "null", .claimsInvalid), ("exp", "true", .claimsInvalid),
    ("exp", "1e400", .claimsInvalid), ("exp", "0", .expired), ("exp", "-1", .expired),
    ("exp", "1e300", nil), ("exp", "9223372036854775807", nil),
    ("exp", "-9223372036854775808", .expired), ("exp", "1.78e9", nil),
    // With 30 s of skew the last good moment is the one before exp + 30 s.
    ("exp", "1779999970", .expired), ("exp", "1779999970.001", nil), ("exp", "1779999971", nil),
    ("nbf", "1780000030", nil), ("nbf", "1780000030.001", .notYetValid),
    ("nbf", "1e300", .notYetValid), ("nbf", "\"0\"", .claimsInvalid), ("nbf", "-1", nil),
    ("nbf", "null", .claimsInvalid), ("iat", "\"x\"", .claimsInvalid), ("iat", nil, nil),
    ("sub", nil, nil), ("sub", "1", .claimsInvalid), ("sub", "null", .claimsInvalid),
    ("jti", "1", .claimsInvalid), ("scope", "1", .claimsInvalid),
    ("scope", "[\"read\",1]", .claimsInvalid), ("scope", "[\"read\"]", nil),
    ("scp", "{}", .claimsInvalid), ("scp", "\"a b\"", nil),
    ("cnf", "{\"jkt\":\"x\"}", .bindingUnverified), ("cnf", "null", .bindingUnverified),
    ("typ", "\"Bearer\"", nil), ("typ", "\"ID\"", .typeRefused), ("typ", "\"id\"", .typeRefused),
    ("typ", "\"Refresh\"", .typeRefused), ("typ", "\"Offline\"", .typeRefused),
    ("typ", "\"Logout\"", .typeRefused), ("typ", "1", .claimsInvalid),
    ("token_use", "\"id\"", .typeRefused), ("token_use", "\"access\"", nil),
    ("c_hash", "\"x\"", .typeRefused), ("events", "{}", .typeRefused),
    ("nonce", "\"x\"", .typeRefused), ("at_hash", "\"x\"", .typeRefused),
  ]

  @Test(arguments: claims)
  func `each claim is of its type and within its bounds`(
    _ name: String, _ value: String?, _ wanted: TokenFault?
  ) throws {
    #expect(try fault([name: value]) == wanted, "\(name): \(value ?? "absent")")
  }

  /// What `cnf` says, and whether that can be checked here.
  static let confirmations: [(String, Bool)] = [
    ("{\"x5t#S256\":\"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0\"}", true),
    ("{\"x5t#S256\":\"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v1\"}", false),
    ("{\"x5t#S256\":\"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0=\"}", false),
    ("{\"x5t#S256\":\"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5g\"}", false),
    ("{\"x5t#S256\":\"\"}", false), ("{\"x5t#S256\":null}", false), ("{\"x5t#S256\":1}", false),
    ("{\"x5t#s256\":\"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0\"}", false),
    ("{\"x5t#S256\":\"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0\",\"jkt\":\"x\"}", false),
    ("{\"x5t\":\"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0\"}", false), ("{}", false),
    ("{\"jkt\":\"x\"}", false), ("{\"kid\":\"x\"}", false), ("null", false), ("[]", false),
    ("\"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0\"", false),
  ]

  @Test(arguments: confirmations)
  func `a token is bound to a certificate, or to what can't be checked`(
    _ confirmation: String, _ isChecked: Bool
  ) throws {
    let token = try issuer.token(["cnf": confirmation])
    #expect(issuer.fault(token) == (isChecked ? nil : .bindingUnverified))
    guard isChecked else { return }
    let binding = try #require(try issuer.verify(token).binding)
    #expect(
      Base64URL.encode(binding.bytes) == Array("A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0".utf8))
    #expect(try issuer.verify(try issuer.token()).binding == nil)
  }

  static let types: [(UTF8Text?, TokenFault?)] = [
    (nil, nil), ("JWT", nil), ("jwt", nil), ("JOSE", nil), ("at+jwt", nil), ("AT+JWT", nil),
    ("application/at+jwt", nil), ("Application/JWT", nil), ("", .typeRefused),
    ("logout+jwt", .typeRefused), ("dpop+jwt", .typeRefused), ("at+jwt ", .typeRefused),
    ("id_token", .typeRefused), ("application/", .typeRefused), ("text/jwt", .typeRefused),
  ]

  @Test(arguments: types)
  func `a header's typ that marks another use is refused`(
    _ type: UTF8Text?, _ wanted: TokenFault?
  ) throws {
    #expect(try fault([:], type: type) == wanted)
    // In a list everything else is refused, and so is no typ at all.
    let settings = IssuerSettings.make(types: ["dpop+jwt", "at+jwt"])
    let isListed = ["at+jwt", "AT+JWT", "application/at+jwt", "dpop+jwt"].contains(type)
    #expect(try fault([:], type: type, settings) == (isListed ? nil : .typeRefused))
  }

  @Test func `a nonce is an ID token's unless the token says it is an access token`() throws {
    for name in ["nonce", "at_hash"] {
      #expect(try fault([name: "\"x\""], type: "JWT") == .typeRefused)
      #expect(try fault([name: "\"x\""], type: "application/at+jwt") == nil)
      #expect(try fault([name: "\"x\"", "typ": "\"Bearer\""], type: "JWT") == nil)
      #expect(try fault([name: "\"x\"", "typ": "\"bearer\""], type: "JWT") == .typeRefused)
      #expect(try fault([name: "\"x\"", "typ": "\"ID\""], type: "at+jwt") == .typeRefused)
    }
    #expect(try fault(["c_hash": "\"x\""], type: "at+jwt") == .typeRefused)
    #expect(try fault(["events": "{}"], type: "at+jwt") == .typeRefused)
  }

  @Test func `on routes that exchange a token ends at exp to the millisecond`() throws {
    let token = try issuer.token()
    let end: Int64 = 1_780_000_300_000
    #expect(issuer.fault(token, atMs: end - 1, exchanging: true) == nil)
    #expect(issuer.fault(token, atMs: end, exchanging: true) == .expired)
    #expect(issuer.fault(token, atMs: end, exchanging: false) == nil)
    #expect(issuer.fault(token, atMs: end + 29_999) == nil)
    #expect(issuer.fault(token, atMs: end + 30_000) == .expired)
    let verified = try issuer.verify(token)
    #expect(!verified.isExpired(atMs: end - 1, exchanging: true))
    #expect(verified.isExpired(atMs: end, exchanging: true))
    #expect(!verified.isExpired(atMs: end, exchanging: false))
    #expect(verified.isExpired(atMs: end + 30_000, exchanging: false))
  }

  @Test func `a greatest age ends a token early, also one that was verified before`() throws {
    let settings = IssuerSettings.make(maxAgeMs: 60_000)
    let token = try issuer.token()  // iat is 10 s before now
    #expect(try issuer.verify(token, settings).expiresAtMs == 1_780_000_050_000)
    #expect(issuer.fault(token, settings, atMs: nowMs + 79_999) == nil)
    #expect(issuer.fault(token, settings, atMs: nowMs + 80_000) == .expired)
    #expect(try fault(["iat": nil], settings) == .claimsInvalid)
    #expect(try fault(["iat": "1780000031"], settings) == .notYetValid)
    // The greatest settings there can be overflow nothing.
    let huge = IssuerSettings.make(clockSkewMs: .max, maxAgeMs: .max)
    #expect(try fault(["exp": "0"], huge) == nil)
  }

  @Test func `another claim may hold the audience, or none be looked at`() throws {
    let client = IssuerSettings.make(audiences: .list(["app"]), audienceClaim: "client_id")
    #expect(try fault(["aud": nil], client) == nil)
    #expect(try fault(["aud": "1"], client) == .claimsInvalid)
    #expect(try fault(["client_id": "\"other\""], client) == .audienceWrong)
    #expect(try fault(["client_id": nil], client) == .audienceWrong)
    let any = IssuerSettings.make(audiences: .any)
    #expect(try fault(["aud": nil], any) == nil)
    #expect(try fault(["aud": "\"x\""], any) == nil)
    #expect(try fault(["aud": "[1]"], any) == .claimsInvalid)
  }

  @Test func `only the issuer's algorithms and keys count`() throws {
    let token = try issuer.token()
    #expect(issuer.fault(token, .make(algorithms: [.rs256])) == .algorithmRefused)
    let stranger = try TestIssuer()
    #expect(stranger.fault(token) == .signatureInvalid)
    let renamed = try TestIssuer(keyID: "k2")
    #expect(renamed.fault(token) == .keyUnknown)
    let rsa = try TestIssuer(.rsa2048)
    #expect(rsa.fault(token) == .algorithmRefused)
    #expect(issuer.fault(token, .make(issuer: "https://other.test")) == .issuerUnknown)
  }

  @Test func `of a forged token nothing is judged but its signature`() throws {
    let stranger = try TestIssuer()
    for changes: KeyValuePairs<String, String?> in [
      ["exp": "0"], ["aud": "\"x\""], ["typ": "\"ID\""], ["cnf": "{}"], ["sub": "1"],
    ] {
      #expect(issuer.fault(try stranger.token(changes)) == .signatureInvalid)
    }
  }

  @Test func `what is no JWT is malformed`() throws {
    for payload in ["", "1", "[]", "\"{}\"", "{\"iss\":1", "{\"a\":1,\"a\":2}", "\u{FEFF}{}"] {
      let token = try issuer.signer.sign(payload: Array(payload.utf8), type: nil)
      #expect(issuer.fault(token) == .malformed, "\(payload)")
    }
    for text in ["", "abc", "a.b.c", "opaque-token-of-someone"] {
      #expect(issuer.fault(Array(text.utf8)) == .malformed)
    }
    let none = try issuer.signer.sign(
      header: Array("{\"alg\":\"none\"}".utf8), payload: Array("{}".utf8))
    #expect(issuer.fault(none) == .algorithmRefused)
  }

  @Test func `a verified token is void when its key or its settings are gone`() throws {
    let token = try issuer.verify(try issuer.token())
    let rules = IssuerRules(.make(), digester: issuer.digester)
    #expect(token.isStillBacked(by: issuer.keys, rules))
    #expect(!token.isStillBacked(by: try TestIssuer().keys, rules))
    let other = IssuerRules(.make(digestInput: [2]), digester: issuer.digester)
    #expect(!token.isStillBacked(by: issuer.keys, other))
  }
}
