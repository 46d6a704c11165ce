import Testing
import Wire

@testable import Gateway

struct MatchingTests {
  @Test(
    arguments: [
      ("/", []), ("/*", [.rest]), ("/orders", [.literal("orders")]),
      ("/orders/", [.literal("orders")]), ("/orders/*", [.literal("orders"), .rest]),
      ("/{a}/{b-_1}", [.parameter("a"), .parameter("b-_1")]),
      ("/%41%2f%3b;x", [.literal("A%2F%3B;x")]), ("/ü |", [.literal("%C3%BC%20|")]),
      ("/...", [.literal("...")]), ("/%7Bx%7D", [.literal("%7Bx%7D")]), ("/%2A", [.literal("%2A")]),
    ] as [(String, [PathPattern.Segment])])
  func `reads paths as they are matched`(_ text: String, _ expected: [PathPattern.Segment]) throws {
    #expect(try PathPattern(UTF8Text(text)).segments == expected)
  }

  @Test(
    arguments: [
      ("", .notAbsolute), ("orders", .notAbsolute), ("*", .notAbsolute), ("//", .emptySegment),
      ("/a//b", .emptySegment), ("/a/./b", .dotSegment), ("/%2E%2e", .dotSegment),
      ("/*/a", .wildcardNotLast), ("/a*", .wildcardNotLast), ("/**", .wildcardNotLast),
      ("/{}", .brokenParameter), ("/{a", .brokenParameter), ("/a}", .brokenParameter),
      ("/{a}{b}", .brokenParameter), ("/{a.b}", .brokenParameter), ("/{a}/{a}", .parameterTwice),
      ("/a?b", .query), ("/a#b", .query), ("/%4", .brokenEscape), ("/%zz", .brokenEscape),
      ("/\\", .forbiddenCharacter), ("/%5c", .forbiddenCharacter), ("/%00", .forbiddenCharacter),
      ("/\n", .forbiddenCharacter),
    ] as [(String, PathPattern.Fault)])
  func `refuses paths that could never match`(_ text: String, _ fault: PathPattern.Fault) {
    #expect(throws: fault) { try PathPattern(UTF8Text(text)) }
  }

  @Test(
    arguments: [
      ("API.example.com", .exact("api.example.com"), nil),
      ("api.example.com.", .exact("api.example.com"), nil),
      ("*.example.com", .oneLabelMore(suffix: ".example.com"), nil),
      ("[::1]:8443", .exact("::1"), 8443), ("10.0.0.1", .exact("10.0.0.1"), nil),
      ("a:80", .exact("a"), 80),
    ] as [(String, RouteHost.Name, UInt16?)])
  func `reads hosts`(_ text: String, _ name: RouteHost.Name, _ port: UInt16?) throws {
    let host = try #require(RouteHost(UTF8Text(text)))
    #expect(host.name == name)
    #expect(host.port == port)
  }

  @Test(arguments: [
    "", "*", "*.", "**.a", "a.*.b", "*a.b", "*.10.0.0.1", "a b", "a/b", "a:", "a:0", "::1",
    "http://a", "é.com",
  ])
  func `refuses what is no host`(_ text: String) {
    #expect(RouteHost(UTF8Text(text)) == nil)
  }

  @Test(arguments: [
    // Told apart.
    (#"{"path": "/a"}"#, #"{"path": "/b"}"#, false),
    (#"{"path": "/a"}"#, #"{"path": "/a/*"}"#, false),
    (#"{"path": "/a"}"#, #"{"path": "/A"}"#, false),
    (#"{"path": "/a/{x}"}"#, #"{"path": "/a/b"}"#, false),
    (#"{"path": "/a", "host": "x"}"#, #"{"path": "/a"}"#, false),
    (#"{"path": "/a", "host": "x.y"}"#, #"{"path": "/a", "host": "*.y"}"#, false),
    (#"{"path": "/a", "listeners": "one"}"#, #"{"path": "/a"}"#, false),
    (#"{"path": "/a", "listeners": "one"}"#, #"{"path": "/a", "listeners": "two"}"#, false),
    (#"{"path": "/a", "methods": "GET"}"#, #"{"path": "/a"}"#, false),
    (#"{"path": "/a", "methods": "GET"}"#, #"{"path": "/a", "methods": "POST"}"#, false),
    (#"{"path": "/a", "headers": {"x": "1"}}"#, #"{"path": "/a"}"#, false),
    (#"{"path": "/a", "headers": {"x": "1"}}"#, #"{"path": "/a", "headers": {"X": "2"}}"#, false),
    (
      #"{"path": "/a", "headers": {"x": "1", "y": "1"}}"#,
      #"{"path": "/a", "headers": {"z": "1"}}"#,
      false
    ),
    // Alike.
    (#"{"path": "/a"}"#, #"{"path": "/a/"}"#, true),
    (#"{"path": "/%61"}"#, #"{"path": "/a"}"#, true),
    (#"{"path": "/{x}/*"}"#, #"{"path": "/{y}/*"}"#, true),
    (#"{"path": "/a", "host": "X.y."}"#, #"{"path": "/a", "host": "x.Y"}"#, true),
    (#"{"path": "/a", "listeners": "one"}"#, #"{"path": "/a", "listeners": ["two", "one"]}"#, true),
    (#"{"path": "/a", "methods": "GET"}"#, #"{"path": "/a", "methods": "HEAD"}"#, true),
    (#"{"path": "/a", "headers": {"x": "1"}}"#, #"{"path": "/a", "headers": {"y": "1"}}"#, true),
  ])
  func `finds routes that could both fit`(_ one: String, _ other: String, _ isConflict: Bool) {
    let found = messages(conflicting(one, other, rules: "{}"))
    #expect(found.count == (isConflict ? 1 : 0), "\(found)")
    #expect(found.allSatisfy { $0.hasPrefix("routes[1].match: could fit") })
  }

  @Test func `finds routes that only differ in a case that is ignored`() {
    let one = #"{"path": "/Orders"}"#
    let other = #"{"path": "/orders"}"#
    #expect(messages(conflicting(one, other, rules: #"{"ignoreCase": true}"#)).count == 1)
    #expect(messages(conflicting(one, other, rules: "{}")).isEmpty)
  }

  private func conflicting(_ one: String, _ other: String, rules: String) -> String {
    file([
      (
        "listeners",
        """
        [
          { "name": "one", "address": "127.0.0.1:1" }, { "name": "two", "address": "127.0.0.1:2" }
        ]
        """
      ),
      (
        "routes",
        """
        [
          { "match": \(one), "respond": {}, "pathRules": \(rules) },
          { "match": \(other), "respond": {}, "pathRules": \(rules) }
        ]
        """
      ),
    ])
  }

  @Test(
    arguments: [
      ("audiance", "audience"), ("adress", "address"), ("Timeout", "timeout"), ("tls_ca", nil),
      ("maximumConnections", "maxConnections"), ("x", nil), ("", nil), ("methdos", "methods"),
      ("id", nil),
    ] as [(String, String?)])
  func `guesses what was meant`(_ word: String, _ expected: String?) {
    let known = ["audience", "address", "timeout", "maxConnections", "methods", "to", "ca"]
    #expect(Spelling.nearest(to: word, among: known) == expected)
  }

  @Test(arguments: [
    ("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("abc", "abc", 0), ("kitten", "sitting", 3),
    ("ca", "abc", 3),
  ])
  func `counts changes`(_ one: String, _ other: String, _ expected: Int) {
    #expect(Spelling.distance(Array(one.utf8), Array(other.utf8)) == expected)
    #expect(Spelling.distance(Array(other.utf8), Array(one.utf8)) == expected)
  }
}

extension MatchingTests {
  @Test(arguments: ["/%41%2f%3b;x", "/a|b^\"", "/%C3%bc/%7e", "/%2A/%7b"])
  func `holds literals as requests' paths are normalised`(_ text: String) throws {
    var path = NormalisedPath()
    try PathNormaliser.normalise(Array(text.utf8).span, into: &path)
    let literals = try PathPattern(UTF8Text(text)).segments.map { segment in
      guard case .literal(let literal) = segment else { throw PathPattern.Fault.query }
      return literal.bytes
    }
    #expect(path.merged == literals.flatMap { [UInt8(ascii: "/")] + $0 })
  }
}
