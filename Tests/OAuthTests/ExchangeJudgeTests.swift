import Crypto
import JOSE
import OAuth
import Testing
import Wire

@Suite struct ExchangeJudgeTests {
  let issuer: TestIssuer
  let subjectToken: [UInt8]
  let subject: VerifiedToken

  init() throws {
    issuer = try TestIssuer()
    subjectToken = try issuer.token(["oid": "\"o-1\""])
    subject = try issuer.verify(subjectToken)
  }

  private func judge(
    _ status: Int, _ body: String, _ settings: ExchangeSettings = .make(),
    target: ExchangeTarget = .to("orders"), contentType: String? = "application/json",
    retryAfter: String? = nil
  ) -> Result<IssuedToken, ExchangeRefusal> {
    let answer = TokenAnswer(
      status: status, contentType: contentType.map { Array($0.utf8) },
      retryAfter: retryAfter.map { Array($0.utf8) }, body: Array(body.utf8))
    let judge = ExchangeJudge(settings, target: target)
    return Result { () throws(ExchangeRefusal) in
      try judge.judge(
        answer, subject: subject, subjectToken: subjectToken.span, nowMs: nowMs)
    }
  }

  /// An answer whose members are good ones but for those given; a nil takes one away.
  private func good(_ changes: KeyValuePairs<String, String?> = [:]) -> String {
    var members: [(name: String, value: String?)] = [
      ("access_token", "\"opaque\""), ("token_type", "\"Bearer\""), ("expires_in", "300"),
      ("issued_token_type", "\"urn:ietf:params:oauth:token-type:access_token\""),
    ]
    for (name, value) in changes {
      members.removeAll { $0.name == name }
      members.append((name, value))
    }
    return "{"
      + members.compactMap { m in m.value.map { "\"\(m.name)\":\($0)" } }.joined(separator: ",")
      + "}"
  }

  private func jwt(_ changes: KeyValuePairs<String, String?> = [:]) throws -> String {
    var claims: [(String, String?)] = [("aud", "\"orders\"")]
    for (name, value) in changes {
      claims.removeAll { $0.0 == name }
      claims.append((name, value))
    }
    let members = claims.compactMap { claim in claim.1.map { "\"\(claim.0)\":\($0)" } }
    let base = changes.contains { $0.key == "sub" } ? [] : ["\"sub\":\"user-1\""]
    let payload = "{" + (base + members).joined(separator: ",") + "}"
    let token = try issuer.signer.sign(payload: Array(payload.utf8), type: "at+jwt")
    return "\"" + String(decoding: token, as: UTF8.self) + "\""
  }

  private func reason(_ result: Result<IssuedToken, ExchangeRefusal>) -> ExchangeRefusal.Reason? {
    if case .failure(let refusal) = result { return refusal.reason }
    return nil
  }

  @Test func `an opaque token is taken with the life it is said to have`() throws {
    let token = try judge(200, good()).get()
    #expect(token.bytes == Array("opaque".utf8))
    #expect(token.endsAtMs == nowMs + 300_000)
    #expect("\(token)" == "‹redacted›")
    #expect(try judge(200, good(["expires_in": "\"300\""])).get().endsAtMs == nowMs + 300_000)
    #expect(try judge(200, good(["expires_in": "299.5"])).get().endsAtMs == nowMs + 299_500)
    #expect(try judge(200, good(["expires_in": "0"])).get().endsAtMs == nowMs)
    for life: String? in [nil, "null"] {
      #expect(try judge(200, good(["expires_in": life])).get().endsAtMs == nil)
    }
    for life in ["9223372036854775807", "1e300", "\"9223372036854775807\""] {
      let end = try judge(200, good(["expires_in": life])).get().endsAtMs
      #expect(end == NumericDate.latestMs, "\(life)")
    }
  }

  @Test func `nonsense is the token service's fault, not the caller's`() {
    let bodies: [String] = [
      "", "null", "[]", "{", "<html>", good(["access_token": nil]), good(["access_token": "\"\""]),
      good(["access_token": "1"]), good(["access_token": "\"a b\""]),
      good(["access_token": "\"a\\r\\nX-Evil: 1\""]), good(["access_token": "\"ä\""]),
      good(["access_token": "\"a=b\""]), good(["access_token": "\"==\""]),
      good(["access_token": "\"\(String(repeating: "a", count: 16_385))\""]),
      good(["token_type": nil]), good(["token_type": "\"DPoP\""]), good(["token_type": "\"mac\""]),
      good(["token_type": "\"N_A\""]), good(["token_type": "1"]),
      good(["issued_token_type": "\"urn:ietf:params:oauth:token-type:refresh_token\""]),
      good(["issued_token_type": "\"urn:ietf:params:oauth:token-type:id_token\""]),
      good(["issued_token_type": "1"]), good(["expires_in": "-1"]), good(["expires_in": "\"x\""]),
      good(["expires_in": "\"-1\""]), good(["expires_in": "[]"]), good(["expires_in": "true"]),
      "{\"access_token\":\"a\",\"access_token\":\"b\",\"token_type\":\"Bearer\"}",
    ]
    for body in bodies { #expect(reason(judge(200, body)) == .misconfigured, "\(body)") }
    for type in ["text/html", "text/html; charset=utf-8", "", "application/jsonx"] {
      #expect(reason(judge(200, good(), contentType: type)) == .misconfigured, "\(type)")
    }
    for type in [nil, "application/json", "Application/JSON;charset=UTF-8", "application/x+json"] {
      #expect(reason(judge(200, good(), contentType: type)) == nil)
    }
    for status in [201, 204, 206, 301, 302, 303, 307, 308, 100, 0, 600, 999, -1] {
      #expect(reason(judge(status, good())) == .misconfigured, "\(status)")
    }
  }

  @Test func `types that can be sent as a bearer token pass`() {
    let jwt = "\"urn:ietf:params:oauth:token-type:jwt\""
    #expect(reason(judge(200, good(["token_type": "\"bearer\""]))) == nil)
    #expect(reason(judge(200, good(["issued_token_type": nil]))) == nil)
    #expect(reason(judge(200, good(["issued_token_type": jwt]))) == nil)
    #expect(reason(judge(200, good(["issued_token_type": jwt, "token_type": "\"N_A\""]))) == nil)
    let own = good(["issued_token_type": "\"urn:own\"", "token_type": "\"n_a\""])
    #expect(reason(judge(200, own)) == .misconfigured)
    #expect(reason(judge(200, own, .make(requestedTokenType: "urn:own"))) == nil)
  }

  @Test func `the caller's own token is never taken back`() {
    let own = "\"" + String(decoding: subjectToken, as: UTF8.self) + "\""
    let any = ExchangeSettings.make(verify: .init(audience: .any, subject: .any))
    #expect(reason(judge(200, good(["access_token": own]), any)) == .unverified)
  }

  @Test func `what another reader takes for a JWT is none that nobody checks`() {
    func reason(header: String, payload: String = #"{"aud":"x","aud":"orders"}"#)
      -> ExchangeRefusal.Reason?
    {
      let parts = [header, payload].map { UTF8Text(Base64URL.encode(Array($0.utf8))) }
      return self.reason(judge(200, good(["access_token": "\"\(parts[0]).\(parts[1]).c2ln\""])))
    }
    for header in [
      #"{"alg":"RS256"}"#, #" {"alg":"RS256"}"#, "{\t\"alg\":\"RS256\"}", "\n\t{ \r\n\"alg\":1}",
      "\u{FEFF}{\"alg\":1}", "\u{B}{\u{C}\"alg\":1}", "{}", " { } ", #"{"alg":"RS256"#,
    ] {
      #expect(reason(header: header) == .unverified, "\(header)")
    }
    for header in ["opaque", "[{\"alg\":1}]", "{x", "", "{"] {
      #expect(reason(header: header) == nil, "\(header)")
    }
    // The other alphabet, a padding's place, and bits that no encoder writes.
    for header in ["eyI/Pz8iOjF9", "eyJhIjoxfR", "eyJh"] {
      let token = "\"\(header).eyJhdWQiOiJ4In0.c2ln\""
      #expect(self.reason(judge(200, good(["access_token": token]))) == .unverified, "\(header)")
    }
  }

  @Test func `an issued JWT must be for the audience and of the caller`() throws {
    func reason(
      _ claims: KeyValuePairs<String, String?>, _ target: ExchangeTarget = .to("orders"),
      _ verify: ExchangeSettings.Verification = .init(audience: .requested, subject: .same)
    ) throws -> ExchangeRefusal.Reason? {
      let body = good(["access_token": try jwt(claims)])
      return self.reason(judge(200, body, .make(verify: verify), target: target))
    }
    #expect(try reason([:]) == nil)
    #expect(try reason(["aud": "[\"account\",\"orders\"]"]) == nil)
    #expect(try reason(["aud": "\"Orders\""]) == .unverified)
    #expect(try reason(["aud": nil]) == .unverified)
    #expect(try reason(["aud": "[]"]) == .unverified)
    #expect(try reason(["aud": "1"]) == .unverified)
    #expect(try reason(["aud": "\"https://r.test\""], .to(resources: ["https://r.test"])) == nil)
    #expect(try reason(["aud": nil], .to(scopes: ["x"])) == nil)
    #expect(
      try reason(["aud": "\"b\""], .to("a"), .init(audience: .list(["b"]), subject: .same)) == nil)
    #expect(
      try reason([:], .to("orders"), .init(audience: .list(["b"]), subject: .same)) == .unverified)
    #expect(try reason(["aud": nil], .to("a"), .init(audience: .any, subject: .same)) == nil)

    #expect(try reason(["sub": "\"user-2\""]) == .unverified)
    #expect(try reason(["sub": "\"User-1\""]) == .unverified)
    #expect(try reason(["sub": nil]) == .unverified)
    #expect(try reason(["sub": "1"]) == .unverified)
    let any = ExchangeSettings.Verification(audience: .requested, subject: .any)
    #expect(try reason(["sub": "\"user-2\""], .to("orders"), any) == nil)
    let oid = ExchangeSettings.Verification(
      audience: .requested, subject: .claims(caller: "oid", issued: "object"))
    #expect(try reason(["sub": "\"x\"", "object": "\"o-1\""], .to("orders"), oid) == nil)
    #expect(try reason(["sub": "\"x\"", "object": "\"o-2\""], .to("orders"), oid) == .unverified)
    #expect(try reason(["sub": "\"x\""], .to("orders"), oid) == .unverified)
  }

  @Test func `what ended while it was asked for is refused, and a life counts from the asking`()
    throws
  {
    let judge = ExchangeJudge(.make(), target: .to("orders"))
    func judged(_ body: String) throws -> IssuedToken {
      try judge.judge(
        TokenAnswer(status: 200, contentType: nil, retryAfter: nil, body: Array(body.utf8)),
        subject: subject, subjectToken: subjectToken.span, askedAtMs: nowMs - 3_000, nowMs: nowMs)
    }
    let ended = good(["access_token": try jwt(["exp": "\(nowMs / 1_000 - 1)"])])
    #expect(throws: ExchangeRefusal.self) { try judged(ended) }
    #expect(try judged(good()).endsAtMs == nowMs - 3_000 + 300_000)
  }

  @Test func `without a caller the subject is nobody's, and no error is the caller's`() throws {
    let own = ExchangeSettings.make(grant: .clientCredentials)
    func judged(_ status: Int, _ body: String) -> Result<IssuedToken, ExchangeRefusal> {
      let answer = TokenAnswer(
        status: status, contentType: nil, retryAfter: nil, body: Array(body.utf8))
      return Result { () throws(ExchangeRefusal) in
        try ExchangeJudge(own, target: .to("orders")).judge(
          answer, subject: nil, subjectToken: [UInt8]().span, nowMs: nowMs)
      }
    }
    #expect(reason(judged(200, good(["access_token": try jwt(["sub": "\"gateway\""])]))) == nil)
    #expect(reason(judged(200, good(["access_token": try jwt(["sub": nil])]))) == nil)
    let other = good(["access_token": try jwt(["aud": "\"billing\""])])
    #expect(reason(judged(200, other)) == .unverified)
    for code in ["invalid_grant", "invalid_token", "interaction_required", "invalid_scope"] {
      #expect(reason(judged(400, "{\"error\":\"\(code)\"}")) == .denied, "\(code)")
    }
    #expect(reason(judged(401, "{\"error\":\"invalid_client\"}")) == .misconfigured)
  }

  @Test func `what is no JWT has no signature to check`() throws {
    let strict = ExchangeSettings.make(
      verify: .init(audience: .any, subject: .any, signature: true))
    #expect(reason(judge(200, good(), strict)) == .unverified)
    #expect(reason(judge(200, good(["access_token": "\"a.b.c\""]), strict)) == .unverified)
    #expect(reason(judge(200, good(["access_token": try jwt()]), strict)) == nil)
  }

  @Test func `an issued JWT ends at the earlier of its two ends`() throws {
    func end(_ exp: String?, _ life: String?) throws -> Int64? {
      try judge(200, good(["access_token": try jwt(["exp": exp]), "expires_in": life])).get()
        .endsAtMs
    }
    #expect(try end("1780000060", "300") == nowMs + 60_000)
    #expect(try end("1780000900", "300") == nowMs + 300_000)
    #expect(try end("1780000060", nil) == nowMs + 60_000)
    #expect(try end(nil, "300") == nowMs + 300_000)
    #expect(try end(nil, nil) == nil)
    #expect(try end("1780000001", "300") == nowMs + 1_000)
    for exp in ["1780000000", "1779999970", "0", "\"1780000900\"", "null"] {
      let body = good(["access_token": try jwt(["exp": exp])])
      #expect(reason(judge(200, body)) == .unverified, "\(exp)")
    }
  }

  static let refusals: [(Int, String, ExchangeRefusal.Reason, counts: Bool, kept: Bool)] = [
    (400, #"{"error":"invalid_grant"}"#, .subjectRefused, false, true),
    (401, #"{"error":"invalid_token"}"#, .subjectRefused, false, true),
    (
      400, #"{"error":"invalid_request","error_description":"Invalid token"}"#, .subjectRefused,
      false, true
    ),
    (
      400, #"{"error":"invalid_request","error_description":"Invalid token."}"#, .denied, false,
      true
    ),
    (400, #"{"error":"invalid_request"}"#, .denied, false, true),
    (400, #"{"error":"interaction_required","claims":"{}"}"#, .subjectRefused, false, true),
    (400, #"{"error":"invalid_target"}"#, .denied, false, true),
    (403, #"{"error":"access_denied"}"#, .denied, false, true),
    (400, #"{"error":"invalid_scope"}"#, .denied, false, true),
    (418, #"{"error":"something_else"}"#, .denied, false, true),
    (400, #"{"error":"invalid_client"}"#, .misconfigured, true, false),
    (401, #"{"error":"invalid_client"}"#, .misconfigured, true, false),
    (403, #"{"error":"invalid_client"}"#, .denied, false, true),
    (400, #"{"error":"unauthorized_client"}"#, .misconfigured, false, true),
    (400, #"{"error":"unsupported_grant_type"}"#, .misconfigured, false, true),
    (400, "", .misconfigured, false, true), (404, "<html>", .misconfigured, false, true),
    (400, #"{"error":1}"#, .misconfigured, false, true),
    (400, #"{"error":""}"#, .misconfigured, false, true),
    (400, #"{"error":"a\nb"}"#, .misconfigured, false, true),
    (400, #"["invalid_grant"]"#, .misconfigured, false, true),
    (429, #"{"error":"invalid_grant"}"#, .unavailable, false, false),
    (500, #"{"error":"invalid_grant"}"#, .unavailable, true, false),
    (503, "", .unavailable, true, false),
  ]

  @Test(arguments: refusals)
  func `each refusal has its reason`(
    _ status: Int, _ body: String, _ reason: ExchangeRefusal.Reason, _ counts: Bool, _ kept: Bool
  ) throws {
    guard case .failure(let refusal) = judge(status, body, contentType: "text/plain") else {
      Issue.record("a token came of it")
      return
    }
    #expect(refusal.reason == reason)
    #expect(refusal.countsForBreaker == counts)
    #expect(refusal.isRemembered == kept)
    #expect(refusal.mayBeSentAgain == [429, 502, 503, 504].contains(status))
    #expect((refusal.claimsChallenge == "{}") == body.contains("claims"))
  }

  @Test func `Retry-After is seconds or a date, and never more than a day`() {
    func seconds(_ text: String?, status: Int = 429) -> Int64? {
      guard case .failure(let refusal) = judge(status, "", retryAfter: text) else { return nil }
      return refusal.retryAfterSeconds
    }
    #expect(seconds("7") == 7)
    #expect(seconds("7", status: 503) == 7)
    #expect(seconds("0") == 1)
    #expect(seconds("99999999") == 86_400)
    var date: [UInt8] = []
    HTTPDate.append(epochSeconds: nowMs / 1_000 + 90, to: &date)
    #expect(seconds(String(decoding: date, as: UTF8.self)) == 90)
    #expect(seconds("Thu, 01 Jan 1970 00:00:00 GMT") == 1)
    for text in [nil, "", "-1", "soon", "1.5"] { #expect(seconds(text) == nil) }
  }

  @Test func `the note for the log is short and holds no token and no secret`() {
    func note(_ description: String) -> String {
      let body = #"{"error":"invalid_target","error_description":"\#(description)"}"#
      guard case .failure(let refusal) = judge(400, body) else { return "" }
      return refusal.note.string
    }
    #expect(note("no such audience") == "invalid_target: no such audience")
    #expect(note("bad token eyJhbGciOi.x.y") == "invalid_target")
    #expect(note("client gateway:s3cret") == "invalid_target")
    let acted = #"{"error":"invalid_target","error_description":"of actor-s3cret!"}"#
    guard case .failure(let refusal) = judge(400, acted, .make(actorToken: "actor-s3cret")) else {
      Issue.record("a token came of it")
      return
    }
    #expect(refusal.note == "invalid_target")
    let long = note(String(repeating: "ü", count: 400))
    #expect(long.utf8.count <= 200)
    #expect(long.hasSuffix("ü"))
  }

  @Test func `a kept token's life is the least of all bounds`() throws {
    func kept(
      life: Int64?, margin: Int64 = 10_000, maxLife: Int64 = 3_600_000, subject: Int64 = .max
    ) throws -> Int64? {
      let token = try judge(200, good(["expires_in": life.map { "\($0)" }])).get()
      let cache = ExchangeSettings.Cache(
        sizeBytes: 1 << 20, maxLifeMs: maxLife, marginMs: margin, deniedMs: 0,
        refreshAhead: 0.2)
      return token.keptUntilMs(nowMs: nowMs, subjectEndsAtMs: subject, cache).map { $0 - nowMs }
    }
    #expect(try kept(life: 300) == 290_000)
    #expect(try kept(life: 10) == 8_000)  // the margin is at most a fifth
    #expect(try kept(life: 300, margin: 0) == 300_000)
    #expect(try kept(life: 300, margin: .max) == 240_000)
    #expect(try kept(life: 7_200) == 3_600_000)
    #expect(try kept(life: 7_200, maxLife: .max) == 7_190_000)
    #expect(try kept(life: 300, subject: nowMs + 5_000) == 5_000)
    #expect(try kept(life: 300, subject: nowMs) == nil)
    #expect(try kept(life: 300, maxLife: 0) == nil)
    #expect(try kept(life: 0) == nil)
    #expect(try kept(life: nil) == nil)
  }
}
