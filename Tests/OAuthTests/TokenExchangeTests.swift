import Crypto
import OAuth
import Testing
import Wire

@Suite struct TokenExchangeTests {
  private func body(
    _ settings: ExchangeSettings, _ target: ExchangeTarget, subject: String? = "a.b.c-+",
    assertion: String? = nil
  ) -> String {
    let exchange = TokenExchange(settings, target: target)
    let body = exchange.makeBody(
      subjectToken: subject.map { Array($0.utf8) }, assertion: assertion.map { Array($0.utf8) })
    return String(decoding: body, as: UTF8.self)
  }

  @Test func `the form has the parameters of RFC 8693 in one order, each encoded`() {
    let target = ExchangeTarget.to(
      "orders", "über&co", resources: ["https://r.test/a b"], scopes: ["read", "write"])
    #expect(
      body(.make(requestedTokenType: "urn:x"), target)
        == "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
        + "&resource=https%3A%2F%2Fr.test%2Fa+b&audience=orders&audience=%C3%BCber%26co"
        + "&scope=read+write&requested_token_type=urn%3Ax&subject_token=a.b.c-%2B"
        + "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token")
  }

  @Test func `what is not asked for is not sent, and more fields come last`() {
    let settings = ExchangeSettings.make(
      client: .post("gate way", "p&w"),
      parameters: [ExchangeSettings.Parameter(name: "x y", value: "1=2")])
    #expect(
      body(settings, .to())
        == "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
        + "&client_id=gate+way&client_secret=p%26w&subject_token=a.b.c-%2B"
        + "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
        + "&x+y=1%3D2")
    #expect(TokenExchange(settings, target: .to()).authorization == nil)
  }

  @Test func `Basic encodes id and secret as forms before it joins them`() throws {
    let settings = ExchangeSettings.make(client: .basic("a:b", "p w:ü"))
    let exchange = TokenExchange(settings, target: .to())
    let value = try #require(exchange.authorization).revealed
    #expect(value.starts(with: Array("Basic ".utf8)))
    let decoded = try #require(Base64.decode(Array(value.dropFirst(6))))
    #expect(String(decoding: decoded, as: UTF8.self) == "a%3Ab:p+w%3A%C3%BC")
  }

  @Test func `who acts is said with its type, or neither`() {
    let end = "&subject_token_type=t&actor_token=a%26b&actor_token_type=u&x=1"
    let settings = ExchangeSettings.make(
      subjectTokenType: "t", actorToken: "a&b", actorTokenType: "u",
      parameters: [.init(name: "x", value: "1")])
    #expect(body(settings, .to("o")).hasSuffix(end))
    #expect(!body(.make(actorTokenType: "u"), .to("o")).contains("actor"))
  }

  @Test func `on-behalf-of has RFC 7523's form and Entra's one parameter more`() {
    let settings = ExchangeSettings.make(
      grant: .onBehalfOf, client: .post("gw", "s"), parameters: [.init(name: "x", value: "1")])
    #expect(
      body(settings, .to(scopes: ["api://o/.default", "b"]))
        == "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
        + "&client_id=gw&client_secret=s&scope=api%3A%2F%2Fo%2F.default+b"
        + "&requested_token_use=on_behalf_of&assertion=a.b.c-%2B&x=1")
    #expect(body(.make(grant: .onBehalfOf), .to()).hasSuffix("on_behalf_of&assertion=a.b.c-%2B"))
  }

  @Test func `client credentials say nothing of a caller`() {
    let target = ExchangeTarget.to("a", resources: ["r"], scopes: ["s", "t"])
    #expect(
      body(.make(grant: .clientCredentials), target, subject: nil)
        == "grant_type=client_credentials&resource=r&audience=a&scope=s+t")
    let more = ExchangeSettings.make(
      grant: .clientCredentials, client: .none("gw"), parameters: [.init(name: "x", value: "1")])
    #expect(
      body(more, .to(), subject: nil) == "grant_type=client_credentials&client_id=gw&x=1")
  }

  @Test func `a client without a secret says its id in the form, and what proves it`() {
    let settings = ExchangeSettings.make(
      grant: .clientCredentials, client: .privateKey("gw"),
      parameters: [.init(name: "x", value: "1")])
    #expect(
      body(settings, .to(), subject: nil, assertion: "e.y.J-")
        == "grant_type=client_credentials&client_id=gw&client_assertion_type="
        + "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&x=1"
        + "&client_assertion=e.y.J-")
    for client in [ClientAuthentication.certificate("gw"), .none("gw")] {
      let exchange = TokenExchange(.make(client: client), target: .to())
      #expect(exchange.authorization == nil)
      let text = body(.make(client: client), .to())
      #expect(text.contains("&client_id=gw&subject_token="))
      #expect(!text.contains("client_assertion"))
    }
  }

  @Test func `shows no secret`() {
    for client in [
      ClientAuthentication.basic("id", "s3cret"), .post("id", "s3cret"), .none("id"),
    ] {
      let exchange = TokenExchange(.make(client: client, actorToken: "s3cret"), target: .to())
      var text = "\(exchange) \(String(reflecting: exchange))"
      dump(exchange, to: &text)
      #expect(!text.contains("s3cret"))
      #expect(!text.contains("115"))  // an "s" in a list of bytes
    }
  }

  @Test func `whatever changes the answer changes the target's digest`() throws {
    let digester = try Digester()
    func digest(
      _ settings: ExchangeSettings = .make(), _ target: ExchangeTarget = .to("a"),
      service: UTF8Text = "https://ts.test/token"
    ) -> SHA256Digest {
      TargetDigest.make(settings, tokenService: service, target: target, digester: digester)
    }
    typealias Verification = ExchangeSettings.Verification
    let digests: [SHA256Digest] = [
      digest(), digest(service: "https://other.test/token"),
      digest(.make(client: .basic("o", "s"))),
      digest(.make(grant: .onBehalfOf)), digest(.make(grant: .clientCredentials)),
      digest(.make(subjectTokenType: "urn:x")),
      digest(.make(actorToken: "a")), digest(.make(actorToken: "b")),
      digest(.make(actorToken: "a", actorTokenType: "urn:x")),
      digest(.make(parameters: [.init(name: "a", value: "b"), .init(name: "c", value: "")])),
      digest(
        .make(verify: Verification(audience: .requested, subject: .same, signature: true))),
      digest(.make(verify: Verification(audience: .list(["a", "b"]), subject: .same))),
      digest(.make(requestedTokenType: "urn:x")),
      digest(.make(parameters: [.init(name: "a", value: "b")])),
      digest(.make(parameters: [.init(name: "ab", value: "")])),
      digest(.make(verify: Verification(audience: .any, subject: .same))),
      digest(.make(verify: Verification(audience: .list(["a"]), subject: .same))),
      digest(.make(verify: Verification(audience: .requested, subject: .any))),
      digest(
        .make(
          verify: Verification(audience: .requested, subject: .claims(caller: "a", issued: "b")))),
      digest(
        .make(
          verify: Verification(audience: .requested, subject: .claims(caller: "b", issued: "a")))),
      digest(.make(), .to()), digest(.make(), .to("a", "b")), digest(.make(), .to("ab")),
      digest(.make(), .to("b", "a")), digest(.make(), .to(resources: ["a"])),
      digest(.make(), .to(scopes: ["a"])), digest(.make(), .to("a", scopes: ["a"])),
      digest(.make(), .to("a", resources: ["a"])),
    ]
    #expect(Set(digests).count == digests.count)
    #expect(digest() == digest(.make(client: .basic("gateway", "another secret"))))
    #expect(digest() == digest(.make(client: .privateKey("gateway"))))
    #expect(digest() == digest(.make(actorTokenType: "urn:unsaid")))
  }
}
