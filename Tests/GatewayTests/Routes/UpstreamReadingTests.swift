import OAuth
import Testing
import Wire

@testable import Gateway

struct UpstreamReadingTests {
  private func read(_ json: String) throws -> UpstreamSettings {
    let text = file([
      ("upstreams", "{\"u\": \(json)}"), ("issuers", nil), ("exchanges", nil), ("routes", "[]"),
    ])
    return try configuration(text).upstreams[0]
  }

  @Test func `reads all that is said of an upstream`() throws {
    let upstream = try read(
      #"""
      { "servers": ["http://a", { "url": "https://B:8443", "weight": 3 }, "unix:/run/o.sock",
                    { "url": "unix:o.sock", "weight": 2 }],
        "balance": "hash:header:X-Tenant",
        "tls": { "ca": "ca", "serverName": "n.example", "certificate": "own.pem", "key": "own.key" },
        "healthCheck": { "path": "/up?full=1", "interval": "1s", "timeout": "2s", "healthyAfter": 1,
                         "unhealthyAfter": 9 },
        "outlier": { "failures": 1, "ejectFor": "1m", "maxEjected": 1 },
        "connectTimeout": "1s", "idleConnections": 0, "idleTimeout": "2s", "maxConnections": 3,
        "queue": 0, "resolveEvery": "4s" }
      """#)
    #expect(
      upstream.servers.map(\.target.description) == [
        "http://a", "https://b:8443", "unix:/run/o.sock", "unix:o.sock",
      ])
    #expect(upstream.servers.map(\.weight) == [1, 3, 1, 2])
    #expect(upstream.servers.map(\.target.authority) == ["a", "b:8443", "localhost", "localhost"])
    #expect(upstream.balance == .hash(.header("x-tenant")))
    #expect(upstream.tls.identity?.chain.path == "own.pem")
    #expect(upstream.tls.identity?.key.path == "own.key")
    #expect(
      upstream.healthCheck
        == .init(
          path: "/up?full=1", intervalMs: 1_000, timeoutMs: 2_000, healthyAfter: 1,
          unhealthyAfter: 9))
    #expect(upstream.outlier == .init(failures: 1, ejectForMs: 60_000, maxEjected: 1))
    #expect(
      upstream.connections
        == .init(
          connectTimeoutMs: 1_000, idleMax: 0, idleTimeoutMs: 2_000, max: 3, queueMax: 0,
          resolveEveryMs: 4_000))
  }

  @Test func `a check has defaults`() throws {
    let upstream = try read(#"{ "servers": "http://a", "healthCheck": { "path": "/" } }"#)
    #expect(
      upstream.healthCheck
        == .init(
          path: "/", intervalMs: 5_000, timeoutMs: 1_000, healthyAfter: 2, unhealthyAfter: 3))
  }

  @Test func `reads every balance`() throws {
    let balances: [(String, UpstreamSettings.Balance)] = [
      ("least-requests", .leastRequests), ("round-robin", .roundRobin), ("random", .random),
      ("hash:claim:sub", .hash(.claim(try #require(ClaimName("sub"))))),
      ("hash:claim:/a/b", .hash(.claim(try #require(ClaimName("/a/b"))))),
    ]
    for (text, balance) in balances {
      #expect(try read("{\"servers\": \"http://a\", \"balance\": \"\(text)\"}").balance == balance)
    }
  }

  @Test(arguments: [
    (#""servers": []"#, "servers: expected at least one"),
    (#""servers": [{"weight": 2}]"#, #"servers[0].url: missing; such as "http://10.0.0.1:8080""#),
    (
      #""servers": [{"url": "http://a", "weight": 0}]"#,
      "servers[0].weight: expected a whole number from 1 to 1000"
    ),
    (
      #""servers": ["unix:"]"#,
      #"servers[0]: expected a socket's path, such as "unix:/run/orders.sock""#
    ),
    (
      "\"servers\": [\"unix:/\(String(repeating: "x", count: 107))\"]",
      "servers[0]: a socket's path has at most 107 bytes, this one 108"
    ),
    (
      #""servers": ["unix:/a", {"url": "unix:/a"}]"#, "servers[1].url: the same server twice"
    ),
    (#""servers": "http://a", "balance": "hash:header:"# + "a b\"", "balance: not a header's name"),
    (#""servers": "http://a", "balance": "hash:claim:/a~"# + "\"", "balance: not a claim's name"),
    (
      #""servers": "http://a", "tls": {"certificate": "c.pem"}"#,
      "tls.key: missing; the certificate's key"
    ),
    (
      #""servers": "http://a", "tls": {"key": "k.pem"}"#,
      "tls.certificate: missing; the key's certificate"
    ),
    (
      #""servers": "http://a", "healthCheck": {"path": "healthz"}"#,
      #"healthCheck.path: expected a path such as "/healthz" ⟶ /healthz"#
    ),
    (
      #""servers": "http://a", "healthCheck": {"path": "http://a/up"}"#,
      #"healthCheck.path: expected a path such as "/healthz""#
    ),
    (
      #""servers": "http://a", "healthCheck": {"path": "/a b"}"#,
      #"healthCheck.path: expected a path such as "/healthz""#
    ),
    (
      #""servers": "http://a", "outlier": {"maxEjected": 1.5}"#,
      "outlier.maxEjected: expected a number from 0.0 to 1.0"
    ),
    (
      #""servers": "http://a", "queue": -1"#,
      "queue: expected a whole number from 0 to 1000000"
    ),
  ])
  func `says what is wrong`(json: String, expected: String) {
    let text = file("upstreams", "{\"orders\": {\(json)}}")
    #expect(messages(text) == ["upstreams.orders." + expected])
  }

  @Test func `a public route has no claim to be balanced by`() {
    let text = file([
      ("upstreams", #"{"u": {"servers": "http://a", "balance": "hash:claim:sub"}}"#),
      (
        "routes",
        #"""
        [{"match": {"path": "/a"}, "authenticate": "none", "forward": {"to": "u"}},
         {"match": {"path": "/b"}, "exchange": "strip", "forward": {"to": "u"}}]
        """#
      ),
    ])
    #expect(
      messages(text) == [
        "routes[0].forward.to: the upstream is balanced by a claim, and a public route has no "
          + "caller; use \"hash:header:NAME\" or another upstream"
      ])
  }
}
