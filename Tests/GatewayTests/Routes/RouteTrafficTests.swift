import OAuth
import Testing
import Wire

@testable import Gateway

/// What is wrong with one route, `more` being what it has beside a path and a service.
private func wrong(_ more: String, path: String = "/a/{id}/*", open: Bool = false) -> [String] {
  let access = open ? #""authenticate": "none""# : #""exchange": "strip""#
  let text = #"[{"match": {"path": "\#(path)"}, \#(access), \#(more)}]"#
  return messages(file("routes", text)).map { String($0.dropFirst("routes[0].".count)) }
}

private func forwarding(_ more: String) -> String {
  #""forward": {"to": "orders", \#(more)}"#
}

private func setting(_ value: String) -> String {
  forwarding(#""headers": {"set": {"X-A": "\#(value)"}}"#)
}

struct TemplateReadingTests {
  @Test(arguments: [
    "plain", "", "{{literal}", "{claim:sub}", "{claim:/a/b}", "{claim:https://x.y/z}",
    "{request:id}-{path:id}", "{tls:subject}", "{request:host}", "}",
  ])
  func `reads what can be filled in`(_ text: String) {
    #expect(wrong(setting(text)) == [])
  }

  @Test(arguments: [
    ("{claim:sub", "a brace is never closed; a literal one is written \"{{\""),
    ("{path:di}", "match.path has no {di} ⟶ {path:id}"),
    ("{claim:/a~b}", #"{claim:/a~b} is not a JSON Pointer: "~" is written "~0" and "/" "~1""#),
    ("x\\ny", "not a header's value: no control characters, no space at its ends"),
    (" x", "not a header's value: no control characters, no space at its ends"),
  ])
  func `says what can't be`(_ text: String, _ message: String) {
    #expect(wrong(setting(text)) == ["forward.headers.set.X-A: \(message)"])
  }

  @Test(arguments: [
    ("{claims:sub}", "{claim:sub}"), ("{request:di}", "{request:id}"), ("{}", nil),
    ("{claim:}", nil), ("{tls:subjct}", "{tls:subject}"),
  ])
  func `suggests what was meant`(_ text: String, _ suggestion: String?) throws {
    let told = try #require(wrong(setting(text)).first)
    #expect(told.contains("there is no \(text)"))
    #expect(told.hasSuffix(suggestion.map { "⟶ \($0)" } ?? "{tls:subject}"))
  }

  @Test func `a public route has no claims`() {
    let told = wrong(setting("{claim:sub}"), open: true)
    #expect(told.count == 1 && told[0].contains("routes[0] is public"))
    #expect(wrong(setting("{request:id}"), open: true) == [])
    let limit = #""forward": {"to": "orders"}, "rateLimit": {"requests": 1, "by": "claim:sub"}"#
    #expect(wrong(limit, open: true).first?.hasPrefix("rateLimit.by: routes[0] is public") == true)
  }
}

struct FieldChangesReadingTests {
  @Test(arguments: [
    "Authorization", "host", "Content-Length", "transfer_encoding", "Connection", "TE", "Upgrade",
    "X-Forwarded-For", "x_forwarded_anything", "Forwarded", "X-Request-Id", "Via", "Expect",
    "Keep-Alive", "Proxy-Authorization",
  ])
  func `what is the gateway's nobody sets or removes`(_ name: String) {
    let set = wrong(forwarding(#""headers": {"set": {"\#(name)": "x"}}"#))
    #expect(set == ["forward.headers.set.\(name): the gateway itself decides about this field"])
    let removed = wrong(forwarding(#""headers": {"remove": "\#(name)"}"#))
    #expect(removed == ["forward.headers.remove: the gateway itself decides about this field"])
  }

  @Test(arguments: ["Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Date"])
  func `nor what frames an answer`(_ name: String) {
    let set = wrong(forwarding(#""responseHeaders": {"set": {"\#(name)": "x"}}"#))
    #expect(set.count == 1)
  }

  @Test func `a name is given once, whatever its spelling`() {
    let told = wrong(forwarding(#""headers": {"set": {"X-A": "1", "x_a": "2"}}"#))
    #expect(
      told == [
        "forward.headers.set.x_a: the same field twice: case, \"_\" and \"-\" make no difference"
      ])
    #expect(wrong(forwarding(#""headers": {"set": {"a b": "1"}}"#)).count == 1)
  }
}

struct PathRewriteReadingTests {
  @Test(
    arguments: [
      (#""stripPrefix": "/a""#, []), (#""stripPrefix": "/a/{id}/""#, []),
      (#""stripPrefix": "/", "addPrefix": "/v2/""#, []),
      (
        #""stripPrefix": "/b""#,
        ["forward.path.stripPrefix: match.path does not begin with this prefix"]
      ),
      (
        #""stripPrefix": "/a/{di}""#,
        ["forward.path.stripPrefix: match.path does not begin with this prefix"]
      ),
      (#""stripPrefix": "/a/*""#, ["forward.path.stripPrefix: a prefix has no \"*\""]),
      (
        #""addPrefix": "/{x}""#,
        ["forward.path.addPrefix: a prefix that is put in front has no {NAME}"]
      ),
    ] as [(String, [String])])
  func `a prefix is the front of the route's own path`(_ path: String, _ told: [String]) {
    #expect(wrong(forwarding(#""path": {\#(path)}"#)) == told)
  }
}

struct RedirectReadingTests {
  @Test(arguments: [
    "https://new.example/*", "http://new.example", "https://new.example/{path:id}?x=1#y", "/b/*",
    "/b/{claim:sub}", "https://{request:host}/*", "https://{request:host}:8443/b", "/",
    "https://{request:host}",
  ])
  func `leads where the operator wrote`(_ to: String) {
    #expect(wrong(#""redirect": {"to": "\#(to)"}"#) == [])
  }

  @Test(arguments: [
    "new.example", "//new.example/", "/{path:id}", "https://{path:id}/", "{claim:site}",
    "https://{request:host}.evil/", "https://x.{path:id}/", "https://x{path:id}", "ftp://x/",
    "https://x/a b", "https://x*", "/b/?x=*", "https://{claim:host}/", "https://{request:host}@x/",
    "javascript:alert(1)", "https://u@x/",
  ])
  func `and nowhere that a request could choose`(_ to: String) {
    let told = wrong(#""redirect": {"to": "\#(to)"}"#)
    #expect(told.count == 1 && told[0].hasPrefix("redirect.to: "), "\(told)")
  }

  @Test func `a star stands for the route's, and a status redirects`() {
    #expect(wrong(#""redirect": {"to": "/b/*"}"#, path: "/a").count == 1)
    for status in [301, 302, 303, 307, 308] {
      #expect(wrong(#""redirect": {"to": "/b", "status": \#(status)}"#) == [])
    }
    for status in [200, 300, 304, 305] {
      #expect(wrong(#""redirect": {"to": "/b", "status": \#(status)}"#).count == 1)
    }
  }
}

struct CORSReadingTests {
  private func told(_ cors: String) -> [String] {
    wrong(#""forward": {"to": "orders"}, "cors": \#(cors)"#)
  }

  @Test(arguments: [
    #""upstream""#, #"{"origins": "*"}"#,
    #"{"origins": ["https://a.example", "http://localhost:3000"], "credentials": true}"#,
    #"{"origins": "capacitor://localhost", "headers": "*", "maxAge": "0s"}"#,
  ])
  func `reads who may ask`(_ cors: String) { #expect(told(cors) == []) }

  @Test(arguments: [
    (#""upsteam""#, "cors: expected an object or \"upstream\", found text ⟶ upstream"),
    (#"{"origins": []}"#, "cors.origins: expected at least one"),
    (
      #"{"origins": "null"}"#,
      "cors.origins: \"null\" is what any page can make itself: sandboxed frames, files, redirects"
    ),
    (
      #"{"origins": "*", "credentials": true}"#,
      "cors.origins: \"*\" can't go with credentials: name each one"
    ),
    (
      #"{"origins": "https://a", "credentials": true, "headers": ["*"]}"#,
      "cors.headers: \"*\" can't go with credentials: name each one"
    ),
    (#"{"origins": "https://a/b"}"#, "cors.origins: an origin has no path ⟶ https://a"),
    (
      #"{"origins": "https://A.example/"}"#,
      "cors.origins: an origin has no slash at its end ⟶ https://a.example"
    ),
    (
      #"{"origins": "a.example"}"#,
      #"cors.origins: expected an origin such as "https://app.example.com""#
    ),
  ])
  func `says who can't`(_ cors: String, _ message: String) { #expect(told(cors) == [message]) }

  @Test func `the service's own answer needs a service`() {
    #expect(wrong(#""respond": {}, "cors": "upstream""#).count == 1)
    #expect(wrong(#""redirect": {"to": "/b"}, "cors": "upstream""#).count == 1)
  }
}

struct RateLimitReadingTests {
  private func told(_ limit: String) -> [String] {
    wrong(#""forward": {"to": "orders"}, "rateLimit": \#(limit)"#)
  }

  @Test func `reads one and several`() throws {
    let text = #"""
      [{"match": {"path": "/"}, "exchange": "strip", "forward": {"to": "orders"}, "rateLimit":
        [{"requests": 100, "burst": 200, "by": "claim:sub"}, {"requests": 3, "per": "1h", "by": "ip"},
         {"requests": 3, "per": "1m", "by": "header:X_Key"}, {"requests": 1, "by": "route"}]}]
      """#
    let limits = try configuration(file("routes", text), environment: ["SECRET": "x"]).routes[0]
      .rateLimits
    #expect(limits.map(\.burst) == [200, 3, 3, 1])
    #expect(
      limits.map(\.intervalNs) == [10_000_000, 1_200_000_000_000, 20_000_000_000, 1_000_000_000])
    #expect(limits[0].by == .claim(ClaimName(member: "sub")))
    #expect(limits[2].by == .header("x_key"))
  }

  @Test(arguments: [
    (#"{"requests": 0, "by": "ip"}"#, "rateLimit.requests"),
    (#"{"requests": 1, "by": "ipp"}"#, "rateLimit.by"),
    (#"{"requests": 1, "by": "claim:"}"#, "rateLimit.by"),
    (#"{"requests": 1, "by": "header:a b"}"#, "rateLimit.by"),
    (#"{"requests": 2000, "per": "1ms", "by": "ip"}"#, "rateLimit.requests"),
    (#"{"requests": 1, "per": "24h", "burst": 1000000000, "by": "ip"}"#, "rateLimit.burst"),
    (#"[{"requests": 1}]"#, "rateLimit[0].by"),
  ])
  func `says what is no limit`(_ limit: String, _ key: String) {
    #expect(told(limit).map { String($0.prefix { $0 != ":" }) } == [key])
  }
}
