import Crypto
import HTTP
import JOSE
import Testing
import Wire

@testable import Demo

@Suite struct TokenEndpointTests {
  let provider: IdentityProvider

  init() throws { provider = try makeProvider() }

  @Test func `a person's token is exchanged for one of the same person and the audience`() throws {
    let answer = provider.answer(makeExchange(try provider.mint.makePerson("ann")))
    #expect(answer.status == 200)
    let body = try parse(answer.content)
    #expect(body["issued_token_type"]?.string == UTF8Text(TokenEndpoint.accessTokenType))
    #expect(body["token_type"]?.string == "Bearer")
    #expect(body["expires_in"]?.integer == 300)
    let token = try #require(body["access_token"]?.string).bytes
    let checked = try CheckedToken(
      token, keys: provider.keys, issuer: "http://127.0.0.1:1", audience: "orders")
    #expect(checked.claims["sub"]?.string == "ann")
    let digest = try Digests.sha256(token.span)
    #expect(
      provider.journal.grant(of: digest)
        == ExchangeJournal.Grant(subject: Array("ann".utf8), audience: Array("orders".utf8)))
    #expect(provider.journal.counts == ExchangeJournal.Counts(exchanges: 1, issued: 1))
  }

  @Test func `a system's token is refused as real token services do, and counted`() throws {
    let answer = provider.answer(
      makeExchange(try provider.mint.makeSystem(client: "nightly-report")))
    #expect(answer.status == 400)
    let body = try parse(answer.content)
    #expect(body["error"]?.string == "invalid_request")
    #expect(body["error_description"]?.string == "Invalid token")
    #expect(
      provider.journal.counts
        == ExchangeJournal.Counts(exchanges: 1, refused: 1, refusedSystems: 1))
  }

  @Test(arguments: TokenMint.Flaw.allCases)
  func `a spoilt token is refused too`(_ flaw: TokenMint.Flaw) throws {
    let answer = provider.answer(makeExchange(try provider.mint.makePerson("ann", flaw: flaw)))
    #expect(answer.status == 400)
    #expect(try parse(answer.content)["error"]?.string == "invalid_request")
  }

  @Test func `who asks must be a client that may exchange`() throws {
    let token = try provider.mint.makePerson("ann")
    let wrong = provider.answer(makeExchange(token, secret: "another"))
    #expect(wrong.status == 401)
    #expect(try parse(wrong.content)["error"]?.string == "invalid_client")
    let other = provider.answer(makeExchange(token, client: "nightly-report", secret: "demo"))
    #expect(other.status == 400)
    #expect(try parse(other.content)["error"]?.string == "unauthorized_client")
    #expect(provider.journal.counts == ExchangeJournal.Counts(exchanges: 2, refused: 2))
  }

  @Test(arguments: [
    ("audience", "elsewhere", "invalid_target"), ("audience", nil, "invalid_target"),
    ("subject_token_type", nil, "invalid_request"), ("subject_token", nil, "invalid_request"),
    ("grant_type", "password", "unsupported_grant_type"), ("grant_type", nil, "invalid_request"),
  ])
  func `what is missing or unknown is named`(_ name: String, _ value: String?, _ error: String)
    throws
  {
    let token = try provider.mint.makePerson("ann")
    let answer = provider.answer(makeExchange(token, changing: [name: value]))
    #expect(answer.status == 400)
    #expect(try parse(answer.content)["error"]?.string == UTF8Text(error))
  }

  @Test func `a parameter that comes twice is refused`() throws {
    let content = Array("grant_type=urn:tollgate:demo:person&user=ann&user=bob".utf8)
    let answer = provider.answer(makeRequest("POST", "/token", content: content))
    #expect(answer.status == 400)
  }

  @Test func `client credentials make a token of a system`() throws {
    let content = Array(
      "grant_type=client_credentials&client_id=nightly-report&client_secret=demo".utf8)
    let answer = provider.answer(makeRequest("POST", "/token", content: content))
    #expect(answer.status == 200)
    let token = try #require(try parse(answer.content)["access_token"]?.string).bytes
    let claims = try CheckedToken(
      token, keys: provider.keys, issuer: "http://127.0.0.1:1",
      audience: TokenMint.gatewayAudience
    ).claims
    #expect(claims["userType"]?.string == "system")
    #expect(claims["sub"]?.string == claims["client_id"]?.string)
  }

  @Test func `only this machine's names are answered`() {
    for host in ["evil.example", "127.0.0.1.evil.example", "0.0.0.0"] {
      #expect(provider.answer(makeRequest("GET", "/tokens/ann", host: host)).status == 421)
    }
    #expect(provider.answer(makeRequest("GET", "/tokens/ann", host: "localhost")).status == 200)
  }

  @Test func `a name in a token is a plain one`() {
    for name in ["", "a b", "a\"b", String(repeating: "a", count: 65), "é"] {
      #expect(provider.answer(makeRequest("GET", "/tokens/\(name)")).status == 404, "\(name)")
    }
  }
}
