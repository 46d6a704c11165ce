import HTTP
import Reactor
import Wire

/// Finds the route of a request: the most specific path within the most specific host that has
/// any match; then, among the routes with that very pattern, listener, method and header fields
/// choose (ROUTES.md, "Matching").
final class Router {
  private let routes: [Route]
  private let exact: Hosts
  /// Those routes again that ignore case.
  private let loose: Hosts?

  /// Patterns by host, then the trees that are made of them.
  private struct HostPatterns {
    private(set) var exact: [[UInt8]: PathPatterns] = [:]
    private(set) var wildcards: [[UInt8]: PathPatterns] = [:]
    private(set) var any: PathPatterns
    private let none: PathPatterns

    init(ignoringCase: Bool) {
      none = PathPatterns(ignoringCase: ignoringCase)
      any = none
    }

    mutating func insert(_ route: Route, index: Int) {
      let match = route.settings.match
      insert(match.host, match.path.treeSegments, index: index)
    }

    mutating func insert(_ host: RouteHost, _ pattern: [PathPatterns.Segment], index: Int) {
      switch host.name {
      case .exact(let host): exact[host.bytes, default: none].insert(pattern, value: index)
      case .oneLabelMore(let suffix):
        wildcards[suffix.bytes, default: none].insert(pattern, value: index)
      case .any: any.insert(pattern, value: index)
      }
    }
  }

  /// Trees of paths by host.
  private final class Hosts {
    /// Whole hosts, then what `*.` stands before, then any host.
    private let exact: [[UInt8]: PathTree]
    private let wildcards: [[UInt8]: PathTree]
    private let any: PathTree
    /// Whether any pattern is of some host and not of all.
    private let hasNames: Bool

    init(_ patterns: HostPatterns) {
      exact = patterns.exact.mapValues { PathTree($0) }
      wildcards = patterns.wildcards.mapValues { PathTree($0) }
      any = PathTree(patterns.any)
      hasNames = !exact.isEmpty || !wildcards.isEmpty
    }

    /// The tree of the most specific host that has a pattern for the request, and which of its
    /// values are meant.
    func find(
      _ request: Request, where accept: (PathTree, Range<Int>) -> Bool
    ) -> (tree: PathTree, places: Range<Int>)? {
      let merged = request.path.merged
      let path = merged.span
      if hasNames {
        if let tree = exact[request.host],
          let found = tree.find(path, where: { accept(tree, $0) })
        {
          return (tree, found)
        }
        if !wildcards.isEmpty, let dot = request.host.firstIndex(of: UInt8(ascii: ".")), dot > 0,
          let tree = wildcards[Array(request.host[dot...])],
          let found = tree.find(path, where: { accept(tree, $0) })
        {
          return (tree, found)
        }
      }
      return any.find(path, where: { accept(any, $0) }).map { (any, $0) }
    }
  }

  init(_ routes: [Route]) {
    self.routes = routes
    var exact = HostPatterns(ignoringCase: false)
    var loose = HostPatterns(ignoringCase: true)
    for (index, route) in routes.enumerated() {
      exact.insert(route, index: index)
      if route.ignoresCase { loose.insert(route, index: index) }
    }
    self.exact = Hosts(exact)
    self.loose = routes.contains(where: \.ignoresCase) ? Hosts(loose) : nil
  }

  /// The route of `request`, whose path is normalised; of a preflight what answers it, where the
  /// route says something of pages of other origins.
  ///
  /// - Throws: `no_route` or `method_not_allowed`, with the methods that are.
  func route(_ request: Request) throws(Refusal) -> Route {
    if case .options = request.method, let route = preflight(request) { return route }
    return try route(request, method: request.connection.head.methodRange)
  }

  /// A preflight is for the route that the request will take which it asks for (Fetch §3.2.2).
  private func preflight(_ request: Request) -> Route? {
    guard let asked = request.preflightedMethod else { return nil }
    do throws(Refusal) {
      return try route(request, method: asked).preflight
    } catch {
      return nil
    }
  }

  private func route(_ request: Request, method: Range<Int>) throws(Refusal) -> Route {
    func accept(_ tree: PathTree, _ places: Range<Int>) -> Bool {
      for place in places {
        guard let port = routes[tree[place]].port else { return true }
        if port == request.wantedPort { return true }
      }
      return false
    }
    if let (tree, places) = exact.find(request, where: accept) {
      return try choose(among: places, of: tree, for: request, method)
    }
    if let (tree, places) = loose?.find(request, where: accept) {
      return try choose(among: places, of: tree, for: request, method)
    }
    throw Refusal(.noRoute)
  }

  private func choose(
    among places: Range<Int>, of tree: PathTree, for request: Request, _ method: Range<Int>
  ) throws(Refusal) -> Route {
    var best: Route?
    var allowed: Set<[UInt8]> = []
    var isOnlyMethod = false
    for place in places {
      let route = routes[tree[place]]
      guard Self.hasPort(of: route, request), Self.hasListener(of: route, request),
        Self.hasHeaders(of: route, request)
      else { continue }
      if !Self.hasMethod(of: route, request, method) {
        isOnlyMethod = true
        allowed.formUnion(route.methods ?? [])
        continue
      }
      if best.map({ $0.precedence < route.precedence }) ?? true { best = route }
    }
    if let best { return best }
    guard isOnlyMethod else { throw Refusal(.noRoute) }
    var refusal = Refusal(.methodNotAllowed)
    refusal.allow = Array(
      allowed.map { String(decoding: $0, as: UTF8.self) }.sorted().joined(separator: ", ").utf8)
    throw refusal
  }

  private static func hasPort(of route: Route, _ request: Request) -> Bool {
    route.port == nil || route.port == request.wantedPort
  }

  private static func hasListener(of route: Route, _ request: Request) -> Bool {
    route.listeners?[request.listener.index] ?? true
  }

  private static func hasMethod(
    of route: Route, _ request: Request, _ method: Range<Int>
  ) -> Bool {
    guard let methods = route.methods else { return true }
    return methods.contains(request.bytes(method))
  }

  private static func hasHeaders(of route: Route, _ request: Request) -> Bool {
    if route.headers.isEmpty { return true }
    let buffer = request.connection.received
    let head = request.connection.head
    for (name, value) in route.headers {
      var count = 0
      var isEqual = false
      for line in head.fields where name.matches(line, in: buffer.readable) {
        count += 1
        let theirs = buffer.slice(line.value)
        isEqual =
          theirs.count == value.count && (0..<value.count).allSatisfy { theirs[$0] == value[$0] }
      }
      if count != 1 || !isEqual { return false }
    }
    return true
  }
}

extension PathPattern {
  /// As the tree holds it.
  fileprivate var treeSegments: [PathPatterns.Segment] {
    segments.map { segment in
      switch segment {
      case .literal(let text): .literal(text.bytes)
      case .parameter: .parameter
      case .rest: .rest
      }
    }
  }
}

extension Router {
  /// What a route asks of a request beside being the most specific.
  enum Condition: CaseIterable {
    case host, port, path, listener, method, headers
  }

  /// For each route, in the file's order, what it asks and `request` does not have: for people, by
  /// what `route` decides by. Looks at every route.
  func misses(of request: Request) -> [(route: Route, misses: [Condition])] {
    let method = request.preflightedMethod ?? request.connection.head.methodRange
    return routes.map { route in
      (route, Condition.allCases.filter { !Self.meets($0, of: route, request, method) })
    }
  }

  private static func meets(
    _ condition: Condition, of route: Route, _ request: Request, _ method: Range<Int>
  ) -> Bool {
    switch condition {
    case .host:
      var hosts = HostPatterns(ignoringCase: false)
      hosts.insert(route.settings.match.host, [.rest], index: 0)
      return Hosts(hosts).find(request, where: { _, _ in true }) != nil
    case .port: return hasPort(of: route, request)
    case .path:
      var patterns = PathPatterns(ignoringCase: route.ignoresCase)
      patterns.insert(route.settings.match.path.treeSegments, value: 0)
      let merged = request.path.merged
      return PathTree(patterns).find(merged.span, where: { _ in true }) != nil
    case .listener: return hasListener(of: route, request)
    case .method: return hasMethod(of: route, request, method)
    case .headers: return hasHeaders(of: route, request)
    }
  }
}
