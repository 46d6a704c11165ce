import OAuth
import TestSupport
import Testing
import Wire

@testable import Gateway

/// A public route that answers by itself.
private func route(_ path: String, _ more: String = "") -> String {
  #"{"match": {"path": "\#(path)"}, "authenticate": "none", "respond": {}\#(more)}"#
}

private func including(
  _ include: String, _ files: [String: String], routes: String? = "[]"
) -> LoadedRoutes {
  load(
    file([("include", include), ("routes", routes)]), environment: ["SECRET": "x"], files: files)
}

struct IncludesTests {
  @Test func `entries come behind those of the files before`() throws {
    let loaded = including(
      #"["z.json", "routes.d/*.json"]"#,
      [
        "routes.d/b.json": #"{"routes": [\#(route("/b"))]}"#,
        "routes.d/a.json": #"{"$schema": "x", "routes": [\#(route("/a1")), \#(route("/a2"))]}"#,
        "routes.d/.hidden.json": "{", "routes.d/a.jsonc": "{",
        "z.json": #"{"upstreams": {"z": {"servers": "http://z"}}, "routes": [\#(route("/z"))]}"#,
      ], routes: "[\(route("/main"))]")
    #expect(loaded.problems.map(\.description) == [])
    let configuration = try #require(loaded.configuration)
    #expect(configuration.routes.map(\.name) == ["/main", "/z", "/a1", "/a2", "/b"])
    #expect(configuration.upstreams.map(\.name) == ["orders", "z"])
  }

  @Test func `what one file names another may refer to, and paths are its own`() throws {
    let loaded = including(
      #""more/a.json""#,
      [
        "more/a.json": """
        {"upstreams": {"z": {"servers": "https://z", "tls": {"ca": "ca.pem"}}},
         "routes": [{"match": {"path": "/z"}, "exchange": {"with": "corp", "audience": "z"},
                     "forward": {"to": "orders"}}]}
        """
      ],
      routes: """
        [{"match": {"path": "/y"}, "authenticate": "none", "forward": {"to": "z"}}]
        """)
    #expect(loaded.problems.map(\.description) == [])
    let ca = loaded.configuration?.upstreams.last?.tls.ca
    #expect(ca?.path == "more/ca.pem")
    #expect(ca?.place.file == "more/a.json")
  }

  @Test func `a mistake is told of the file that made it, by the number that it has there`() {
    let loaded = including(
      #"["a.json", "b.json"]"#,
      [
        "a.json": """
        {
          "routes": [
            \(route("/a")),
            \(route("/b", #", "cros": null"#))
          ]
        }
        """,
        "b.json": "{ \"routes\": [], \"limits\": {} }",
      ], routes: "[\(route("/main", #", "nmae": 1"#))]")
    #expect(
      loaded.problems.map { "\($0.file):\($0.location?.line ?? 0) \($0.key)" } == [
        "routes.json:7 routes[0].nmae", "a.json:4 routes[1].cros", "b.json:1 limits",
      ])
    #expect(loaded.problems.map { $0.excerpt?.line.isEmpty } == [false, false, false])
    #expect(loaded.problems[1].suggestion == "cors")
  }

  @Test func `a name given twice is told with both places`() {
    let loaded = including(
      #""a.json""#,
      [
        "a.json": """
        {"upstreams": {"orders": {"servers": "http://x"}},
         "issuers": {"corp": {"issuer": "https://x", "audiences": "any"}},
         "routes": [\(route("/a", #", "name": "one""#))]}
        """
      ], routes: "[\(route("/main", #", "name": "one""#))]")
    #expect(
      loaded.problems.map { "\($0.file):\($0.location?.line ?? 0) \($0.key): \($0.message)" } == [
        "a.json:1 upstreams.orders: given twice; it is at routes.json:5:17 already",
        "a.json:2 issuers.corp: given twice; it is at routes.json:3:15 already",
        "a.json:3 routes[0].name: given twice; it is at routes.json:7:90 already",
      ])
  }

  @Test func `routes of two files that could both fit are told apart by their files`() {
    let loaded = including(
      #""a.json""#, ["a.json": #"{"routes": [\#(route("/x")), \#(route("/main"))]}"#],
      routes: "[\(route("/main"))]")
    #expect(loaded.problems.map(\.file) == ["a.json"])
    #expect(loaded.problems.first?.key == "routes[1].match")
    #expect(
      loaded.problems.first?.message.hasPrefix(
        "could fit the same requests as routes[0] of routes.json: ") == true)
  }

  @Test func `what can't be read or makes no sense is told where it is named`() {
    let loaded = including(
      #"["gone.json", "none/*.json", "broken.json", "list.json", "kinds.json"]"#,
      [
        "broken.json": "{ \"routes\": [", "list.json": "[]",
        "kinds.json": #"{"routes": {}, "upstreams": [], "include": []}"#,
      ])
    let told = loaded.problems.map { "\($0.file) \($0.key): \($0.message)" }
    #expect(told.contains { $0.hasPrefix("routes.json include[0]: gone.json cannot be read: ") })
    #expect(told.contains { $0.hasPrefix("routes.json include[1]: cannot be looked for: ") })
    #expect(told.contains { $0.hasPrefix("broken.json : ") })
    #expect(told.contains("routes.json include[3]: list.json does not begin with a brace"))
    #expect(told.contains("kinds.json routes: expected a list, found an object"))
    #expect(told.contains("kinds.json upstreams: expected an object, found a list"))
    #expect(told.contains { $0.hasPrefix("kinds.json include: unknown key") })
  }

  @Test func `what is no routes file is not shown`() {
    let key = "-----BEGIN PRIVATE KEY-----"
    let problems = including(#""*.pem""#, ["a.pem": "\(key)\nMIIE"]).problems
    #expect(problems.map(\.message) == ["a.pem does not begin with a brace"])
    #expect(!problems.map(\.description).joined().contains("BEGIN"))
  }

  @Test func `a pattern that finds nothing is warned of, and no file is read twice`() {
    let loaded = including(
      #"["d/*.yaml", "d/a.json", "d/?.json", "*.json"]"#,
      ["d/a.json": #"{"routes": [\#(route("/a"))]}"#])
    #expect(loaded.problems.map(\.description) == [])
    #expect(loaded.configuration?.routes.count == 1)
    #expect(loaded.warnings.first?.key == "include[0]")
  }

  @Test func `secrets of an included file are hidden, and no part of the digest`() {
    func digest(_ secret: String) -> [UInt8]? {
      including(
        #""a.json""#,
        [
          "a.json": #"""
          {"exchanges": {"x": {"tokenService": "corp", "grant": "client-credentials",
            "client": {"id": "g", "secret": "\#(secret)"}}}, "routes": [\#(route("/a"))]}
          """#
        ]
      ).configuration?.digestInput
    }
    #expect(digest("hunter2") != nil)
    #expect(digest("hunter2") == digest("hunter3"))
  }

  @Test(arguments: [
    ("*.json", "a.json", true), ("*.json", ".json", false), (".*", ".json", true),
    ("a*b*c", "abc", true), ("a*b*c", "axbxbc", true), ("a*b*c", "axc", false),
    ("?.json", "a.json", true), ("?.json", "ab.json", false), ("*", "a", true),
    ("a*", "b", false), ("**", "ab", true),
  ])
  func `patterns are read as a shell reads them`(
    _ pattern: String, _ name: String, _ matches: Bool
  ) throws {
    let found = try PathGlob.paths("d/" + pattern, MemoryFiles(files: ["d/" + name: []]))
    #expect(found == (matches ? ["d/" + name] : []))
  }
}

struct DefaultsTests {
  private func routes(_ defaults: String, _ routes: String) -> LoadedRoutes {
    load(file([("defaults", defaults), ("routes", routes)]), environment: ["SECRET": "x"])
  }

  @Test func `objects merge, anything else replaces, and null takes a default away`() throws {
    let loaded = routes(
      """
      {"exchange": {"audience": ["a"], "scope": "s"}, "limits": {"body": "1KiB"},
       "forward": {"to": "orders", "timeout": "5s", "retries": 3}, "rateLimit":
       {"requests": 5, "by": "ip"}}
      """,
      """
      [{"match": {"path": "/a"}},
       {"match": {"path": "/b"}, "exchange": {"audience": "b"}, "limits": null, "rateLimit": null,
        "forward": {"timeout": "6s", "retries": null, "to": "http://x"}},
       {"match": {"path": "/c"}, "exchange": "strip"}]
      """)
    #expect(loaded.problems.map(\.description) == [])
    let configuration = try #require(loaded.configuration)
    let read = try configuration.routes.map { route -> (String, Int64?, Int, Int, Int) in
      guard case .forward(let forward) = route.action,
        case .checked(_, _, let onward) = route.access
      else { throw Impatience("a route that forwards") }
      let target = if case .exchanged(_, let target) = onward { "\(target)" } else { "-" }
      return (
        target, forward.timeoutMs, forward.retries, route.limits.bodyBytesMax,
        route.rateLimits.count
      )
    }
    func target(_ audience: String) -> String {
      "\(ExchangeTarget(audiences: [UTF8Text(audience)], resources: [], scopes: ["s"]))"
    }
    #expect(read[0] == (target("a"), 5_000, 3, 1_024, 1))
    #expect(read[1] == (target("b"), 6_000, 1, 10 << 20, 0))
    #expect(read[2] == ("-", 5_000, 3, 1_024, 1))
  }

  @Test func `a route takes nothing that can't be meant for it`() throws {
    let loaded = routes(
      """
      {"exchange": {"audience": "a"}, "admit": {"unknown": "reject"}, "forward": {"to": "orders"}}
      """,
      """
      [{"match": {"path": "/a"}, "authenticate": "none"},
       {"match": {"path": "/b"}, "authenticate": "none", "respond": {}},
       {"match": {"path": "/c"}, "redirect": {"to": "/d"}}]
      """)
    #expect(loaded.problems.map(\.description) == [])
    #expect(loaded.configuration?.routes.count == 3)
  }

  @Test func `mistakes in them are told once, where they are`() {
    let loaded = routes(
      #"{"match": {"path": "/"}, "forward": {"to": "oders"}, "exchange": "strip", "lmits": {}}"#,
      #"[{"match": {"path": "/a"}}, {"match": {"path": "/b"}, "name": 1}]"#)
    #expect(
      loaded.problems.map { "\($0.location?.line ?? 0) \($0.key)" } == [
        "6 defaults.match", "6 defaults.forward.to", "6 defaults.lmits", "7 routes[1].name",
      ])
    #expect(routes("[]", "[]").problems.map(\.key) == ["defaults"])
  }
}
