import Testing

@testable import Gateway

/// What `tollgate explain` finds out without calling anybody.
@Suite struct ExplainerTests {
  private static let routes = """
    {
      "listeners": [
        { "name": "inner", "address": "127.0.0.1:8001" },
        { "name": "outer", "address": "127.0.0.1:8002" }
      ],
      "issuers": { "corp": {
        "issuer": "https://login.example.com", "audiences": ["https://api.example.com"]
      } },
      "exchanges": { "corp": {
        "tokenService": "https://login.example.com/token",
        "client": { "id": "gateway", "secret": { "env": "SECRET" } }
      } },
      "routes": [
        { "name": "orders", "match": { "path": "/orders/*", "methods": ["GET"] },
          "exchange": { "audience": "orders" },
          "forward": { "to": "http://orders.internal",
            "headers": { "set": { "X-Key": "a-key-of-the-service" }, "remove": ["X-Debug"] } } },
        { "name": "order", "match": { "path": "/orders/{id}" },
          "authenticate": "none", "respond": { "status": 204 } },
        { "name": "beta", "match": { "path": "/beta", "headers": { "x-beta": "1" } },
          "authenticate": "none", "respond": { "status": 204 } },
        { "name": "inside", "match": { "path": "/inside", "listeners": ["inner"] },
          "authenticate": "none", "respond": { "status": 204 } },
        { "name": "elsewhere", "match": { "path": "/there", "host": "b.example.com" },
          "authenticate": "none", "redirect": { "to": "https://c.example.com/", "status": 308 } }
      ]
    }
    """

  private func explain(
    _ method: String, _ url: String, fields: [String] = [], listener: String? = nil,
    token: String? = nil
  ) throws -> Explanation {
    let settings = try configuration(Self.routes, environment: ["SECRET": "s3cret-of-ours"])
    let call = try ExplainedCall(
      method: method, url: url, fields: fields, token: token.map { Array($0.utf8) },
      listener: listener)
    return try Explainer.explain(call, by: settings)
  }

  private func fact(_ name: String, of step: String, in explanation: Explanation) -> String? {
    explanation.steps.first { $0.name == step }?.facts.first { $0.name == name }?.got
  }

  @Test func `a more particular path wins, and the other is told of`() throws {
    let told = try explain("GET", "https://a.example.com/orders/7")
    #expect(told.verdict.outcome == .answered)
    #expect(told.verdict.status == 204)
    #expect(fact("not orders", of: "route", in: told) == "fits too, but order is more particular")
  }

  @Test(arguments: [
    ("GET", "http://a.example.com/beta", "not beta", "it wants x-beta: 1", 404),
    ("GET", "http://a.example.com:8002/inside", "not inside", "listener outer is not inner", 404),
    (
      "GET", "http://a.example.com/there", "not elsewhere",
      "host a.example.com is not b.example.com", 404
    ),
    // Misspelled.
    (
      "GET", "http://a.example.com/order/7", "not orders",
      "path /order/7 is not /orders/*", 404
    ),
    (
      "POST", "http://a.example.com/orders/7/x", "not orders",
      "method POST is not GET, HEAD", 405
    ),
  ])
  func `a route that nearly matches is told of, and what it lacks`(
    method: String, url: String, name: String, why: String, status: Int
  ) throws {
    let told = try explain(method, url)
    #expect(told.isRefused)
    #expect(told.verdict.status == status)
    #expect(fact(name, of: "route", in: told) == why)
  }

  @Test func `the listener that is named counts`() throws {
    #expect(try !explain("GET", "/inside", listener: "inner").isRefused)
    #expect(try explain("GET", "/inside", listener: "outer").isRefused)
  }

  @Test func `a missing token is refused before anything of the exchange is told`() throws {
    let told = try explain("GET", "https://a.example.com/orders/7/lines")
    #expect(told.verdict.reason == "token_missing")
    #expect(told.verdict.status == 401)
    #expect(told.verdict.advice != nil)
    #expect(!told.steps.contains { $0.name == "exchange" })
  }

  @Test func `a broken token is refused as a request with it is`() throws {
    let told = try explain("GET", "/orders/7/lines", token: "no.jwt")
    #expect(told.verdict.reason == "token_malformed")
    #expect(told.verdict.status == 401)
  }

  @Test func `another address is told without its query`() throws {
    let told = try explain("GET", "http://b.example.com/there?key=hush")
    #expect(told.verdict.status == 308)
    #expect(!told.text(Paint(isOn: false)).contains("hush"))
  }

  @Test func `an ambiguous path is refused by the normaliser's own word`() throws {
    let told = try explain("GET", "http://a.example.com/a%00b")
    #expect(told.verdict.reason == "malformed_request")
    #expect(fact("path", of: "request", in: told) == "a control character in the path")
  }

  @Test(
    arguments: [
      ("GE T", "/x", [], nil), ("GET", "ftp://x/", [], nil), ("GET", "http://a@b/", [], nil),
      ("GET", "/a b", [], nil), ("GET", "/x", ["no colon"], nil),
      ("GET", "/x", ["a: b\r\nc: d"], nil),
      ("GET", "/x", [], "one two"), ("GET", "/x", [], " \n"),
    ] as [(String, String, [String], String?)])
  func `what is no request is refused`(
    method: String, url: String, fields: [String], token: String?
  ) {
    #expect(throws: ExplainedCall.Fault.self) {
      try ExplainedCall(
        method: method, url: url, fields: fields, token: token.map { Array($0.utf8) })
    }
  }

  @Test func `a token in a file may have Bearer before it and a line feed behind it`() throws {
    let call = try ExplainedCall(method: "GET", url: "/", token: Array(" bearer  a.b.c\r\n".utf8))
    #expect(call.token == Array("a.b.c".utf8))
  }

  @Test(arguments: [
    ("a eyJhbGciOiJub25lIn0.e30. b", "a ‹a token, not shown› b"),
    ("[\"eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln\"]", "[\"‹a token, not shown›\"]"),
    ("eyJ is no token", "eyJ is no token"), ("www.eyjafjalla.is", "www.eyjafjalla.is"),
    ("a\u{1B}[2Jb", "a\u{FFFD}[2Jb"),
  ])
  func `a text is shown without tokens and without what a terminal obeys`(
    text: String, shown: String
  ) {
    #expect(PlainText.of(text) == shown)
  }

  @Test(arguments: Refusal.Reason.allCases)
  func `there is something to be done about each refusal`(reason: Refusal.Reason) {
    #expect(reason.advice.hasSuffix(".") || reason.advice.hasSuffix(")"))
    #expect(reason.advice.utf8.count < 200)
  }
}
