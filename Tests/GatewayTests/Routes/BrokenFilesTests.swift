import OAuth
import Testing

@testable import Gateway

/// A broken file, and everything that is said about it.
struct BrokenFile: Sendable, CustomTestStringConvertible {
  let name: String
  let text: String
  let shown: String
  var testDescription: String { name }

  init(_ name: String, _ text: String, _ shown: String) {
    self.name = name
    self.text = text
    self.shown = shown
  }
}

struct BrokenFilesTests {
  @Test(
    arguments: BrokenFile.whole + BrokenFile.server + BrokenFile.tokens + BrokenFile.services
      + BrokenFile.routes + BrokenFile.sharedCache + BrokenFile.grants)
  func `says all that is wrong with a file, and where`(_ example: BrokenFile) {
    #expect(complaints(example.text).joined(separator: "\n") == example.shown)
  }

  @Test(
    arguments: BrokenFile.whole + BrokenFile.server + BrokenFile.tokens + BrokenFile.services
      + BrokenFile.routes + BrokenFile.sharedCache + BrokenFile.grants)
  func `has no configuration and shows no secret`(_ example: BrokenFile) {
    let loaded = load(example.text, environment: ["SECRET": "hunter2"])
    #expect(loaded.configuration == nil)
    for problem in loaded.problems + loaded.warnings {
      #expect(!problem.description.contains("hunter2"))
    }
  }

  @Test func `says so when the file can't be read`() {
    let loaded = RoutesFile.load(
      path: "conf/routes.json", environment: { _ in nil }, files: MemoryFiles(files: [:]))
    #expect(
      loaded.problems.map(\.description) == [
        "conf/routes.json: cannot be read: no such file or directory (ENOENT)"
      ])
  }

  @Test func `warns of a secret in the file and of a token passed through`() {
    let text = file([
      (
        "exchanges",
        #"{ "corp": { "tokenService": "corp", "client": { "id": "a", "secret": "hunter2" } } }"#
      ),
      (
        "routes",
        #"[{ "match": { "path": "/" }, "exchange": "passthrough", "respond": {} }]"#
      ),
    ])
    let loaded = load(text)
    #expect(loaded.problems == [])
    #expect(loaded.configuration != nil)
    #expect(
      loaded.warnings.map(\.description).joined(separator: "\n") == #"""
        routes.json:5:85: warning: exchanges.corp.client.secret: a secret in the file itself; {"env": "NAME"} or {"file": "path"} keeps it out
            5 |   "exchanges": { "corp": { "tokenService": "corp", "client": { "id": "a", "secret": "‹redacted›" } } },
              |                                                                                     ^~~~~~~~~~~~
        routes.json:6:54: warning: routes[0].exchange: the caller's own token goes on to the service
            6 |   "routes": [{ "match": { "path": "/" }, "exchange": "passthrough", "respond": {} }]
              |                                                      ^~~~~~~~~~~~~
        """#)
  }

  @Test func `warns of any audience and of an admin address that others reach`() {
    let text = file([
      ("issuers", #"{"corp": {"issuer": "https://login.example.com", "audiences": "any"}}"#),
      ("admin", #"{ "address": "0.0.0.0:9901" }"#),
    ])
    let loaded = load(text, environment: ["SECRET": "x"])
    #expect(loaded.problems == [])
    #expect(
      loaded.warnings.map(\.description).joined(separator: "\n") == #"""
        routes.json:6:76: warning: issuers.corp.audiences: a token for any other service of this issuer is taken here too; name the audiences that mean this gateway
            6 |   "issuers": {"corp": {"issuer": "https://login.example.com", "audiences": "any"}},
              |                                                                            ^~~~~
        routes.json:7:25: warning: admin.address: other machines can see there what runs, and reload it; use 127.0.0.1, and "probes" for those who ask for /readyz and /metrics
            7 |   "admin": { "address": "0.0.0.0:9901" }
              |                         ^~~~~~~~~~~~~~
        """#)
  }

  @Test(arguments: ["127.0.0.1:1", "[::1]:1", "localhost:1", "127.8.9.1:1"])
  func `an admin address of this machine is no cause for alarm`(_ address: String) {
    let text = file("admin", "{ \"address\": \"\(address)\" }")
    #expect(load(text, environment: ["SECRET": "x"]).warnings == [])
  }

  @Test func `warns of a limit that limits nothing`() {
    let text = file("limits", #"{ "http2Streams": 100 }"#)
    #expect(
      load(text, environment: ["SECRET": "x"]).warnings.map(\.description) == [
        #"""
        routes.json:7:31: warning: limits.http2Streams: has no effect: HTTP/2 is not supported yet
            7 |   "limits": { "http2Streams": 100 }
              |                               ^~~
        """#
      ])
  }

  @Test func `warns of an authority for certificates that nobody is asked for`() {
    let text = file(
      "listeners",
      #"[{ "address": "127.0.0.1:443", "tls": { "certificates": [], "clientCA": "ca.pem" } }]"#)
    #expect(
      load(text, environment: ["SECRET": "x"]).warnings.map(\.description).first == #"""
        routes.json:6:88: warning: listeners[0].tls.clientCA: callers are not asked for certificates: "clientAuth" is "none"
            6 |   "listeners": [{ "address": "127.0.0.1:443", "tls": { "certificates": [], "clientCA": "ca.pem" } }]
              |                                                                                        ^~~~~~~~
        """#)
  }

  @Test func `points into a file that ends its lines as Windows does`() {
    let text = "\u{FEFF}{\r\n  \"workers\": 0,\r\n  \"x\": [\r\n1]}"
    #expect(
      complaints(text).suffix(2) == [
        """
        routes.json:2:14: workers: expected a whole number from 1 to 1024
            2 |   "workers": 0,
              |              ^
        """,
        """
        routes.json:3:3: x: unknown key; known here: $schema, include, workers, listeners, \
        trustedProxies, limits, shutdown, issuers, exchanges, upstreams, defaults, routes, \
        accessLog, admin, tracing, sharedCache
            3 |   "x": [
              |   ^~~
        """,
      ])
  }

  @Test func `underlines wide characters, and no further than the line`() throws {
    let text = "{\n\t\"日本語\": {\"a\":\n1}, \"workers\": {\n}}"
    let shown = complaints(text)
    #expect(
      shown.contains {
        $0.hasPrefix("routes.json:2:2: [\"日本語\"]: unknown key")
          && $0.hasSuffix("\n    2 | \t\"日本語\": {\"a\":\n      | \t^~~~~~~~")
      })
    #expect(
      shown.contains {
        $0.hasPrefix("routes.json:3:16: workers: ")
          && $0.hasSuffix("\n    3 | 1}, \"workers\": {\n      |                ^")
      })
  }

  @Test func `cuts lines that no screen could hold`() throws {
    let filler = String(repeating: "\"filler\", ", count: 500)
    let text = "{\"$schema\": [\(filler)\"x\"], \"workers\": 0, \"a\": [\(filler)]}"
    let problem = try #require(load(text).problems.first { $0.key == "workers" })
    let excerpt = try #require(problem.excerpt)
    #expect(excerpt.line.hasPrefix("…") && excerpt.line.hasSuffix("…"))
    #expect(excerpt.line.count <= 162)
    let mark = try #require(excerpt.underline.firstIndex(of: "^"))
    let column = excerpt.underline.distance(from: excerpt.underline.startIndex, to: mark)
    #expect(Array(excerpt.line)[column] == "0")
  }

  @Test(arguments: [
    #""sharedCache": { "keys": ["hunter2", "hunter2" "x"] }"#,
    #""sharedCache": { "keys": [{ "env": "NAME" }, "hunter2", hunter2] }"#,
    #""client": { "secret": hunter2, "x": 1 }"#,
    #""client": { "secret": 'hunter2' }"#,
    #""client": { secret: "hunter2" }"#,
    #""client": { "secret" = "hunter2" }"#,
    #""client": { "secret" "hunter2" }"#,
    #""client": { "secret": /* ours */ "hunter2" "a" }"#,
    "\"client\": { \"secret\": // ours\n \"hunter2\" \"a\" }",
    #""client": { "secret": { "value": "hunter2" "a" } }"#,
    #""headers": { "set": { "Authorization": "Basic hunter2" } "a" }"#,
    #""headers": { "set": { "Authorization": hunter2, "a": 1 } }"#,
    #""servers": ["https://me:hunter2@orders" "a"]"#,
  ])
  func `tells no secret of a file that is no JSON`(text: String) throws {
    let problem = try #require(load("{ \(text) }").problems.first)
    let line = try #require(problem.excerpt).line
    #expect(line.contains("‹redacted›") && !line.contains("hunter2"), "\(problem)")
  }

  @Test func `what is no secret of a file that is no JSON is shown`() throws {
    let text = #"{ "client": { "method": "client-secret-basic" "id": "gw" }, "a": "b" }"#
    let line = try #require(load(text).problems.first?.excerpt).line
    #expect(line == text)
  }

  @Test(arguments: [
    #""headers": { "sett": { "Authorization": "Basic hunter2" } }"#,
    #""header": { "Authorization": "Basic hunter2" }"#,
    #""fields": { "Authorization": "hunter2" }"#,
    #""headers": { "set": [{ "X-Other": "Basic hunter2" }] }"#,
    #""headers": { "set": { "X-Other": ["Basic hunter2"] } }"#,
  ])
  func `tells no secret field where fields do not belong`(text: String) throws {
    let problems = load(#"{ "routes": [{ "match": { "path": "/" }, \#(text) }] }"#).problems
    #expect(!problems.isEmpty)
    for problem in problems {
      let excerpt = try #require(problem.excerpt)
      #expect(!excerpt.line.contains("hunter2"), "\(problem)")
    }
  }

  @Test func `a line of what is shown wider than it is gets cut by its width`() throws {
    let list = Array(repeating: "\"a\"", count: 60).joined(separator: ",")
    let problem = load("{\"passwords\": [\(list)]}").problems.first { $0.key == "passwords" }
    let redacted = try #require(problem?.excerpt)
    #expect(redacted.line.hasPrefix("{\"passwords\": [\"‹redacted›\","))
    #expect(redacted.line.hasSuffix("…") && redacted.line.count <= 161)
    let wide = "{\"a\": 1, \"\(String(repeating: "語", count: 120))\": 1}"
    let excerpt = try #require(load(wide).problems.first { $0.key == "a" }?.excerpt)
    #expect(excerpt.line.hasSuffix("語…") && excerpt.line.count { $0 == "語" } == 75)
  }

  @Test func `shows nothing that a terminal would obey`() {
    let shown = complaints("{\"a\u{7F}\u{9B}2J\u{202E}\": 1}").joined()
    #expect(!shown.unicodeScalars.contains { [0x7F, 0x9B, 0x202E].contains($0.value) })
  }

  @Test func `complains at a place long after the file was read`() throws {
    let loaded = load(
      file(
        "listeners",
        """
        [
            { "address": "127.0.0.1:443", "tls": { "certificates": [{ "chain": "a.pem", "key": "a.key" }] } }
          ]
        """), environment: ["SECRET": "x"], path: "conf/routes.json")
    let configuration = try #require(loaded.configuration)
    let certificate = try #require(configuration.listeners[0].tls?.certificates[0])
    #expect(certificate.chain.path == "conf/a.pem")
    let problem = loaded.problem(at: certificate.key.place, "does not match the certificate")
    #expect(
      problem.description == """
        conf/routes.json:7:88: listeners[0].tls.certificates[0].key: does not match the certificate
            7 |     { "address": "127.0.0.1:443", "tls": { "certificates": [{ "chain": "a.pem", "key": "a.key" }] } }
              |                                                                                        ^~~~~~~
        """)
  }

  @Test func `answers every file with a byte changed or cut off`() {
    let text = Array(
      file([
        ("routes", #"[{"match": {"path": "/{a}/*", "host": "*.a"}, "respond": {"status": 200}}]"#),
        ("trustedProxies", #""::/8""#),
      ]).utf8)
    for index in text.indices {
      for byte in [UInt8(ascii: "\""), UInt8(ascii: "{"), 0xFF] {
        var changed = text
        changed[index] = byte
        let files = MemoryFiles(files: ["r": changed, "cut": Array(text[..<index])])
        for path in ["r", "cut"] {
          let loaded = RoutesFile.load(path: path, environment: { $0 }, files: files)
          #expect((loaded.configuration == nil) == !loaded.problems.isEmpty)
          for problem in loaded.problems { #expect(!problem.description.isEmpty) }
        }
      }
    }
  }
}

struct DiskFilesTests {
  @Test func `says why a file can't be read`() {
    #expect(throws: FileFault("no such file or directory (ENOENT)")) {
      try DiskFiles().read("/nowhere/routes.json", bytesMax: 1)
    }
  }

  @Test(.timeLimit(.minutes(5))) func `reads a file of thousands of routes`() {
    let routes = (0..<2_000).map {
      #"{"match": {"path": "/r\#($0)/*"}, "exchange": "strip", "forward": {"to": "http://u\#($0)"}}"#
    }
    let text = file("routes", "[\(routes.joined(separator: ",\n"))]")
    #expect(load(text, environment: ["SECRET": "x"]).configuration?.upstreams.count == 2_001)
    let unknown = (0..<2_000).map { "\"k\($0)\": 1" }.joined(separator: ",")
    #expect(load("{\(unknown)}").problems.count == 2_002)
  }
}
