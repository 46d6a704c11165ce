import Testing

@testable import Gateway

/// Which routes no request can reach.
struct RouteReachTests {
  /// Routes by their `match`, each with two listeners, and who is warned of: the number of the
  /// route, and of those that take its requests.
  struct Case: CustomTestStringConvertible {
    let matches: [String]
    let unreached: [Int: [Int]]
    var testDescription: String { matches.joined(separator: " ") }
  }

  static let cases = [
    // Methods go before none, but leave those that they don't name.
    Case(matches: [#""path": "/a", "methods": ["GET"]"#, #""path": "/a""#], unreached: [:]),
    // Listeners, when they are all.
    Case(
      matches: [
        #""path": "/a", "listeners": ["one"]"#, #""path": "/a", "listeners": ["two"]"#,
        #""path": "/a""#,
      ], unreached: [2: [0, 1]]),
    Case(
      matches: [#""path": "/a", "listeners": ["one"]"#, #""path": "/a""#], unreached: [:]),
    Case(
      matches: [
        #""path": "/a", "listeners": ["one", "two"]"#, #""path": "/a", "methods": ["PUT"]"#,
      ], unreached: [1: [0]]),
    // Each of its methods is somebody else's; HEAD comes with GET.
    Case(
      matches: [
        #""path": "/a", "listeners": ["one", "two"], "methods": ["GET", "PUT"]"#,
        #""path": "/a", "methods": ["PUT", "HEAD"]"#,
      ], unreached: [1: [0]]),
    Case(
      matches: [
        #""path": "/a", "listeners": ["one", "two"], "methods": ["GET"]"#,
        #""path": "/a", "methods": ["GET", "PUT"]"#,
      ], unreached: [:]),
    // Fields: only those that ask for no more than it asks for.
    Case(
      matches: [
        #""path": "/a", "methods": ["GET"], "headers": {"x": "1"}"#,
        #""path": "/a", "methods": ["GET"]"#,
      ], unreached: [:]),
    Case(
      matches: [
        #""path": "/a", "listeners": ["one", "two"], "headers": {"x": "1"}"#,
        #""path": "/a", "headers": {"x": "1", "y": "2"}"#,
      ], unreached: [1: [0]]),
    Case(
      matches: [
        #""path": "/a", "listeners": ["one", "two"], "headers": {"x": "2"}"#,
        #""path": "/a", "headers": {"x": "1"}"#,
      ], unreached: [:]),
    // Another host's are no rivals.
    Case(
      matches: [
        #""path": "/a", "host": "a.example", "listeners": ["one", "two"]"#, #""path": "/a""#,
      ], unreached: [:]),
    // Everything below is somebody else's, whatever that one asks for besides.
    Case(
      matches: [#""path": "/a/*""#, #""path": "/a""#, #""path": "/a/{x}/*", "methods": ["GET"]"#],
      unreached: [0: [1, 2]]),
    Case(
      matches: [
        #""path": "/*""#, #""path": "/""#, #""path": "/{a}""#, #""path": "/{a}/{b}/*""#,
      ], unreached: [0: [1, 2, 3]]),
    Case(matches: [#""path": "/a/*""#, #""path": "/a/{x}/*""#], unreached: [:]),
    Case(matches: [#""path": "/a/*""#, #""path": "/a""#, #""path": "/a/{x}""#], unreached: [:]),
    Case(matches: [#""path": "/a/*""#, #""path": "/a""#, #""path": "/a/b/*""#], unreached: [:]),
  ]

  @Test(arguments: cases)
  func `is warned of, with those that take its requests`(_ example: Case) {
    let routes = example.matches.enumerated().map { index, match in
      #"{ "name": "r\#(index)", "match": { \#(match) }, "authenticate": "none", "respond": {} }"#
    }
    let text = file([
      (
        "listeners",
        #"[{"name": "one", "address": "127.0.0.1:1"}, {"name": "two", "address": "127.0.0.1:2"}]"#
      ),
      ("routes", "[\(routes.joined(separator: ",\n"))]"),
    ])
    let loaded = load(text, environment: ["SECRET": "x"])
    #expect(loaded.problems == [])
    let expected = example.unreached.sorted { $0.key < $1.key }.map { index, takers in
      let names = takers.map { "routes[\($0)]" }
      return "routes[\(index)].match: no request can reach this route: all that it fits go to "
        + names.dropLast().joined(separator: ", ") + (names.count > 1 ? " and " : "")
        + (names.last ?? "") + ", which " + (names.count == 1 ? "is" : "are")
        + " more particular; ask for something else here, or take it out"
    }
    #expect(loaded.warnings.map { "\($0.key): \($0.message)" } == expected)
  }

  @Test func `who ignores case is reached in other letters`() {
    func warnings(_ rules: String) -> Int {
      let routes = #"""
        [{ "match": { "path": "/a", "listeners": ["one"] }, "authenticate": "none", "respond": {}
           \#(rules) },
         { "match": { "path": "/a" }, "name": "b", "authenticate": "none", "respond": {},
           "pathRules": { "ignoreCase": true } }]
        """#
      let text = file([
        ("listeners", #"[{"name": "one", "address": "127.0.0.1:1"}]"#), ("routes", routes),
      ])
      return load(text, environment: ["SECRET": "x"]).warnings.count
    }
    #expect(warnings("") == 0)
    #expect(warnings(#", "pathRules": { "ignoreCase": true }"#) == 1)
  }

  @Test(arguments: [
    (#", "listeners": ["two"]"#, "what routes[1] is for gets 404"),
    (#", "listeners": ["one", "two"]"#, nil),
    ("", "what routes[1] is for is served"),
  ])
  func `a redirect of all at a listener is warned of where other routes' paths are none of it`(
    _ listeners: String, _ says: String?
  ) {
    func warnings(_ others: String...) -> [String] {
      let redirect = #"""
        { "match": { "path": "/*", "listeners": ["one"] }, "authenticate": "none",
          "redirect": { "to": "https://x.example/*", "status": 308 } }
        """#
      let text = file([
        (
          "listeners",
          #"[{"name": "one", "address": "127.0.0.1:1"}, {"name": "two", "address": "127.0.0.1:2"}]"#
        ),
        ("routes", "[\(([redirect] + others).joined(separator: ", "))]"),
      ])
      let loaded = load(text, environment: ["SECRET": "x"])
      #expect(loaded.problems == [])
      return loaded.warnings.map { "\($0.key): \($0.message)" }
    }
    let other = #"""
      { "name": "b", "match": { "path": "/a/{b}/*"\#(listeners) }, "authenticate": "none",
        "respond": {} }
      """#
    // As the warning says.
    let remedy = #"""
      { "name": "c", "match": { "path": "/a/{b}/*", "listeners": ["one"] },
        "authenticate": "none", "redirect": { "to": "https://x.example/*" } }
      """#
    let expected = says.map {
      "routes[0].match: not all that comes in there is redirected: a more particular path counts "
        + "before the listener, so there \($0); redirect those paths as well, each by a route with "
        + "these \"listeners\""
    }
    #expect(warnings() == [])
    #expect(warnings(other) == (expected.map { [$0] } ?? []))
    if listeners.contains("two"), says != nil { #expect(warnings(other, remedy) == []) }
  }

  @Test func `of many routes a few are named and the rest is counted`() {
    let others = (1...2_000).map { index in
      #"""
      { "match": { "path": "/a\#(index)", "listeners": ["two"] }, "authenticate": "none",
        "respond": {} }
      """#
    }
    let redirect = #"""
      { "match": { "path": "/*", "listeners": ["one"] }, "authenticate": "none",
        "redirect": { "to": "https://x.example/*", "status": 308 } }
      """#
    let listeners = #"""
      [{"name": "one", "address": "127.0.0.1:1"}, {"name": "two", "address": "127.0.0.1:2"}]
      """#
    func warnings(_ count: Int) -> [String] {
      let routes = ([redirect] + others.prefix(count)).joined(separator: ", ")
      let text = file([("listeners", listeners), ("routes", "[\(routes)]")])
      return load(text, environment: ["SECRET": "x"]).warnings.map(\.message)
    }
    let named = "routes[1], routes[2], routes[3], routes[4]"
    #expect(warnings(5).count == 1)
    #expect(warnings(5)[0].contains("what \(named) and routes[5] are for gets 404"))
    #expect(warnings(6)[0].contains("what \(named) and 2 more are for gets 404"))
    #expect(warnings(2_000)[0].contains("what \(named) and 1,996 more are for gets 404"))
  }
}
