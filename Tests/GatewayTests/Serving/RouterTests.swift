import HTTP
import Reactor
import TestSupport
import Testing
import Wire

@testable import Gateway

/// The routes of a file, matched against requests that came over a socket.
struct RouterStage {
  private let router: Router
  private let routes: [Route]
  private let listeners: [ListenerSettings]

  /// `routes` is JSON; each answers by itself.
  init(_ routes: String, listeners: Int = 1) throws {
    let addresses = (0..<listeners).map {
      #"{"name": "l\#($0)", "address": "127.0.0.1:\#(8080 + $0)"}"#
    }
    let text = file([
      ("listeners", "[\(addresses.joined(separator: ", "))]"), ("routes", routes),
      ("issuers", nil), ("exchanges", nil), ("upstreams", nil),
    ])
    let configuration = try configuration(text)
    self.listeners = configuration.listeners
    self.routes = try configuration.routes.map { settings in
      guard case .respond(let answer) = settings.action else { throw Impatience("respond") }
      return Route(
        settings, access: .open, action: .respond(answer), listenerCount: listeners,
        tally: RouteTally(RouteNumbers(), worker: 0))
    }
    router = Router(self.routes)
  }

  enum Outcome: Equatable, CustomStringConvertible {
    case route(String)
    case refused(Refusal.Reason, allow: String)

    var description: String {
      switch self {
      case .route(let name): name
      case .refused(let reason, let allow): "\(reason.word) \(allow)"
      }
    }
  }

  /// The route of a request; `head` is its head without the empty line.
  func route(
    _ head: String, listener: Int = 0, _ stage: isolated Stage
  ) async throws -> Outcome {
    let (socket, peer) = try FarEnd.pair(on: stage.loop)
    let connection = ServerConnection(
      ByteStream(socket), waiter: stage.makeWaiter(), buffers: BufferPool(),
      limits: .init(
        head: .init(requestLineBytesMax: 4_096, headBytesMax: 4_096, fieldCountMax: 50),
        headerTimeoutMs: Stage.patienceMs, idleTimeoutMs: Stage.patienceMs))
    try peer.send(head + "\r\n\r\n")
    guard case .request = await connection.nextRequest() else {
      throw Impatience("a head: \(head)")
    }
    let request = Request(
      connection,
      listener: Listener(
        listeners[listener], index: listener, tls: nil, handshakeTimeoutMs: 1),
      peer: Peer(address: [], isTrusted: false))
    request.host = connection.head.authority.host
    request.port = connection.head.authority.port
    let received = connection.received
    try PathNormaliser.normalise(received.slice(connection.head.path), into: &request.path)
    do throws(Refusal) {
      return .route(try router.route(request).settings.name)
    } catch {
      return .refused(error.reason, allow: error.allow.text)
    }
  }
}

/// What requests come to; each is `METHOD PATH HOST fields…`.
private func expect(
  _ routes: String, listeners: Int = 1, listener: Int = 0,
  _ cases: [(String, RouterStage.Outcome)],
  sourceLocation: Testing.SourceLocation = #_sourceLocation
) async throws {
  try await Stage.run { stage in
    let matching = try RouterStage(routes, listeners: listeners)
    for (text, expected) in cases {
      let parts = text.split(separator: " ")
      let fields = parts.dropFirst(3).map { "\r\n\($0.replacing("=", with: ": "))" }.joined()
      let head = "\(parts[0]) \(parts[1]) HTTP/1.1\r\nHost: \(parts[2])\(fields)"
      let found = try await matching.route(head, listener: listener, stage)
      #expect(found == expected, "\(text)", sourceLocation: sourceLocation)
    }
  }
}

private func route(_ name: String, _ match: String, rules: String = "{}") -> String {
  #"{"name": "\#(name)", "match": {\#(match)}, "authenticate": "none", "respond": {}, "pathRules": \#(rules)}"#
}

private let none = RouterStage.Outcome.refused(.noRoute, allow: "")

struct RouterTests {
  @Test func `the most specific host wins, then the most specific path`() async throws {
    let routes = [
      route("any", #""path": "/*""#), route("any-a", #""path": "/a""#),
      route("wild", #""path": "/*", "host": "*.example.com""#),
      route("exact", #""path": "/b/*", "host": "api.example.com""#),
    ]
    try await expect(
      "[\(routes.joined(separator: ", "))]",
      [
        ("GET /a other.test", .route("any-a")), ("GET /b other.test", .route("any")),
        // The path that is most specific of all stands at a less specific host.
        ("GET /a api.example.com", .route("wild")), ("GET /b api.example.com", .route("exact")),
        ("GET /b API.Example.COM.", .route("exact")), ("GET /b x.example.com", .route("wild")),
        ("GET /a x.y.example.com", .route("any-a")), ("GET /a example.com", .route("any-a")),
      ])
  }

  @Test func `a port in the host counts where a route has one`() async throws {
    let routes = [
      route("default", #""path": "/", "host": "a.test:80""#),
      route("other", #""path": "/", "host": "b.test:8080""#),
      route("both", #""path": "/", "host": "c.test""#),
      route("wild", #""path": "/", "host": "*.d.test:8080""#),
    ]
    try await expect(
      "[\(routes.joined(separator: ", "))]",
      [
        ("GET / a.test", .route("default")), ("GET / a.test:80", .route("default")),
        ("GET / a.test:8080", none), ("GET / b.test:8080", .route("other")), ("GET / b.test", none),
        ("GET / c.test", .route("both")), ("GET / c.test:1", .route("both")),
        ("GET / x.d.test:8080", .route("wild")), ("GET / x.d.test", none),
      ])
  }

  @Test func `another port gives way to a less specific host`() async throws {
    let routes = [
      route("port", #""path": "/a", "host": "a.test:8080""#), route("any", #""path": "/*""#),
    ]
    try await expect(
      "[\(routes.joined(separator: ", "))]",
      [("GET /a a.test:8080", .route("port")), ("GET /a a.test", .route("any"))])
  }

  @Test func `methods choose among routes of one path, and say which are allowed`() async throws {
    let routes = [
      route("read", #""path": "/a", "methods": ["GET"]"#),
      route("write", #""path": "/a", "methods": ["PUT", "POST"]"#),
      route("rest", #""path": "/*""#), route("patch", #""path": "/b", "methods": ["PATCH"]"#),
      route("fallback", #""path": "/b""#),
    ]
    let refused = RouterStage.Outcome.refused(.methodNotAllowed, allow: "GET, HEAD, POST, PUT")
    try await expect(
      "[\(routes.joined(separator: ", "))]",
      [
        ("GET /a x", .route("read")), ("HEAD /a x", .route("read")), ("PUT /a x", .route("write")),
        // Never a less specific pattern.
        ("DELETE /a x", refused), ("get /a x", refused),
        ("PATCH /b x", .route("patch")), ("GET /b x", .route("fallback")),
        ("DELETE /c x", .route("rest")),
      ])
  }

  @Test func `fields choose: the route that asks for more goes first`() async throws {
    let routes = [
      route("plain", #""path": "/a""#), route("one", #""path": "/a", "headers": {"x-v": "2"}"#),
      route("two", #""path": "/a", "headers": {"x-v": "2", "x-w": "3"}"#),
      route("get", #""path": "/a", "methods": ["GET"]"#),
      route("alone", #""path": "/b", "headers": {"x-v": "2"}, "methods": ["PUT"]"#),
    ]
    try await expect(
      "[\(routes.joined(separator: ", "))]",
      [
        ("PUT /a x", .route("plain")), ("PUT /a x X-V=2", .route("one")),
        ("PUT /a x X-W=3 x-v=2", .route("two")), ("PUT /a x X-V=3", .route("plain")),
        // A method goes before fields.
        ("GET /a x x-v=2 x-w=3", .route("get")),
        // It must be there once, spelled so.
        ("PUT /a x x-v=2 x-v=2", .route("plain")), ("PUT /a x x_v=2", .route("plain")),
        ("PUT /a x x-v=", .route("plain")), ("PUT /a x x-v=22", .route("plain")),
        ("PUT /b x x-v=2", .route("alone")), ("PUT /b x", none),
        ("GET /b x x-v=2", .refused(.methodNotAllowed, allow: "PUT")), ("GET /b x", none),
      ])
  }

  @Test func `a route for this listener goes before one for all`() async throws {
    let routes = [
      route("all", #""path": "/a", "methods": ["GET"]"#),
      route("second", #""path": "/a", "listeners": ["l1"]"#),
      route("only", #""path": "/b", "listeners": "l1""#),
    ]
    let text = "[\(routes.joined(separator: ", "))]"
    try await expect(
      text, listeners: 2, listener: 0,
      [
        ("GET /a x", .route("all")), ("GET /b x", none),
        ("PUT /a x", .refused(.methodNotAllowed, allow: "GET, HEAD")),
      ])
    try await expect(
      text, listeners: 2, listener: 1,
      [
        ("GET /a x", .route("second")), ("PUT /a x", .route("second")),
        ("GET /b x", .route("only")),
      ])
  }

  @Test func `case is ignored only where nothing matches with it`() async throws {
    let routes = [
      route("loose", #""path": "/Orders/*""#, rules: #"{"ignoreCase": true}"#),
      route("strict", #""path": "/bills/*""#), route("exact", #""path": "/ORDERS/exact""#),
    ]
    try await expect(
      "[\(routes.joined(separator: ", "))]",
      [
        ("GET /Orders/1 x", .route("loose")), ("GET /orders/1 x", .route("loose")),
        ("GET /oRdErS x", .route("loose")), ("GET /Bills/1 x", none),
        ("GET /bills/1 x", .route("strict")), ("GET /ORDERS/exact x", .route("exact")),
        // That one does not ignore case.
        ("GET /ORDERS/EXACT x", .route("loose")),
      ])
  }

  @Test func `a method is not found by a route that minds case`() async throws {
    let routes = [
      route("loose", #""path": "/a", "methods": ["GET"]"#, rules: #"{"ignoreCase": true}"#),
      route("strict", #""path": "/a", "methods": ["PUT"]"#),
    ]
    try await expect(
      "[\(routes.joined(separator: ", "))]",
      [
        ("GET /A x", .route("loose")), ("PUT /a x", .route("strict")),
        ("PUT /A x", .refused(.methodNotAllowed, allow: "GET, HEAD")),
      ])
  }

  @Test func `paths are matched as they are normalised`() async throws {
    let routes = [route("orders", #""path": "/orders/{id}""#), route("a", #""path": "/a%2fb""#)]
    try await expect(
      "[\(routes.joined(separator: ", "))]",
      [
        ("GET /%6frders/7 x", .route("orders")), ("GET /x/../orders/7 x", .route("orders")),
        ("GET //orders//7 x", .route("orders")), ("GET /orders/7/../8/ x", .route("orders")),
        ("GET /orders%2f7 x", none), ("GET /a%2Fb x", .route("a")), ("GET /a/b x", none),
        ("GET http://x/orders/7 x", .route("orders")),
      ])
  }
}
