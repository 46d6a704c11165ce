import Testing

@testable import Gateway

/// What people write who come from other proxies, and what they are told.
struct MeantTests {
  private func route(_ members: String, path: String = "/p/{id}") -> String {
    file(
      "routes",
      #"[{ "match": { "path": "\#(path)" }, "exchange": { "audience": "a" }, \#(members) }]"#)
  }

  @Test(arguments: ["ws", "WSS", "socket.io", "websockets"])
  func `an upgrade to what WebSocket is called elsewhere is refused`(_ name: String) {
    let text = route(#""forward": { "to": "orders", "upgrade": "\#(name)" }"#)
    let found = load(text, environment: ["SECRET": "x"]).problems
    #expect(found.map(\.suggestion) == ["websocket"])
  }

  @Test(arguments: [
    ("sub", "claim:sub"), ("X-Api-Client", "header:X-Api-Client"), ("client_ip", "ip"),
    ("rout", "route"), ("/realm/x", nil),
  ])
  func `a limit's key without its kind is told which kind it may be`(
    _ by: String, _ meant: String?
  ) {
    let text = route(
      #""forward": { "to": "orders" }, "rateLimit": { "requests": 1, "by": "\#(by)" }"#)
    let found = load(text, environment: ["SECRET": "x"]).problems
    #expect(found.map(\.key) == ["routes[0].rateLimit.by"])
    #expect(found.map(\.suggestion) == [meant])
  }

  @Test(arguments: [
    ("{sub}", "{claim:sub}"), ("{id}", "{path:id}"), ("{host}", "{request:host}"),
    ("{claims:sub}", "{claim:sub}"), ("{claim.sub}", "{claim:sub}"), ("{a b}", nil),
  ])
  func `a template's part without its kind is told which kind it may be`(
    _ part: String, _ meant: String?
  ) {
    let text = route(
      #""forward": { "to": "orders", "headers": { "set": { "X-A": "\#(part)" } } }"#)
    let found = load(text, environment: ["SECRET": "x"]).problems
    #expect(found.map(\.suggestion) == [meant])
  }

  @Test(arguments: [
    ("/orders*", "/orders/*"), ("/orders/**", "/orders/*"), ("/*a", nil), ("/a*/b", nil),
    ("/*/b", nil), ("^/a/.*", nil),
  ])
  func `a path's star where others have it is told where it stands here`(
    _ path: String, _ meant: String?
  ) {
    let text = route(#""forward": { "to": "orders" }"#, path: path)
    let found = load(text, environment: ["SECRET": "x"]).problems
    #expect(found.map(\.suggestion) == [meant])
  }

  @Test(arguments: [
    ("10 seconds", "10s"), ("5mins", "5m"), ("1 hour", "1h"), ("10 sleeps", nil),
  ])
  func `a duration in words is told its unit`(_ written: String, _ meant: String?) {
    let found = load(file("shutdown", #"{ "grace": "\#(written)" }"#), environment: ["SECRET": "x"])
      .problems
    #expect(found.map(\.suggestion) == [meant])
  }

  @Test func `an address of all is told how it is written`() {
    let found = load(file("listeners", #"[{ "address": "*:80" }]"#), environment: ["SECRET": "x"])
      .problems
    #expect(found.map(\.suggestion) == ["0.0.0.0:80"])
  }

  @Test func `a listener without a name is known by its address`() {
    let listeners = #"[{ "address": "127.0.0.1:1" }, { "name": "b", "address": "127.0.0.1:2" }]"#
    func problems(_ listener: String) -> [ConfigProblem] {
      let match = #"{ "path": "/x", "listeners": ["\#(listener)"] }"#
      let route = #"{ "match": \#(match), "exchange": "strip", "forward": { "to": "orders" } }"#
      let text = file([("listeners", listeners), ("routes", "[\(route)]")])
      return load(text, environment: ["SECRET": "x"]).problems
    }
    #expect(problems("127.0.0.1:1").isEmpty)
    #expect(problems("127.0.0.1:2").count == 1)
  }

  @Test func `a public route is offered no claim`() {
    let text = file(
      "routes",
      #"""
      [{ "match": { "path": "/" }, "authenticate": "none",
         "forward": { "to": "orders", "headers": { "set": { "X-A": "{sub}" } } },
         "rateLimit": { "requests": 1, "by": "sub" } }]
      """#)
    let found = load(text, environment: ["SECRET": "x"]).problems
    #expect(found.count == 2)
    #expect(found.allSatisfy { $0.suggestion == nil })
  }

  @Test func `a parameter with a colon is warned of, and matches what it says`() {
    let loaded = load(
      route(#""forward": { "to": "orders" }"#, path: "/p/:id/x:y"), environment: ["SECRET": "x"])
    #expect(loaded.configuration != nil)
    #expect(loaded.warnings.map(\.key) == ["routes[0].match.path"])
    #expect(loaded.warnings.first?.message.contains(#"is "{id}""#) == true)
  }

  @Test(arguments: [
    ("accessLog", #"{ "file": "a.log" }"#, "path"), ("log", #""off""#, "accessLog"),
    ("listeners", #"[{ "port": 80, "address": "127.0.0.1:1" }]"#, nil),
    ("listeners", #"[{ "listen": ":80" }]"#, "address"),
    ("issuers", #"{ "corp": { "iss": "https://a.example", "audiences": "a" } }"#, "issuer"),
  ])
  func `keys are known by what other proxies call them`(
    _ key: String, _ value: String, _ meant: String?
  ) {
    let found = load(file(key, value), environment: ["SECRET": "x"]).problems
    let unknown = found.filter { $0.message.hasPrefix("unknown key") }
    #expect(unknown.map(\.suggestion) == [meant])
  }
}
