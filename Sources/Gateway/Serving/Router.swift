import HTTP
import Reactor
import Wire

/// Finds the route of a request: the most specific path within the most specific host that has
/// any match; then, among the routes with that very pattern, listener, method and header fields
/// choose (ROUTES.md, "Matching").
final class Router {
  private let routes: [Route]
  /// Whole hosts, then what `*.` stands before, then any host.
  private var exactHosts: [[UInt8]: PathTree] = [:]
  private var wildcardHosts: [[UInt8]: PathTree] = [:]
  private var anyHost = PathTree()
  private let ignoresCase: Bool

  init(_ routes: [Route]) {
    self.routes = routes
    ignoresCase = routes.contains { $0.settings.pathRules.ignoreCase }
    for (index, route) in routes.enumerated() {
      let pattern = route.settings.match.path.segments.map { segment -> PathTree.Segment in
        switch segment {
        case .literal(let text): .literal(text.bytes)
        case .parameter: .parameter
        case .rest: .rest
        }
      }
      switch route.settings.match.host.name {
      case .exact(let host):
        exactHosts[host.bytes, default: PathTree()].insert(pattern, value: index)
      case .oneLabelMore(let suffix):
        wildcardHosts[suffix.bytes, default: PathTree()].insert(pattern, value: index)
      case .any: anyHost.insert(pattern, value: index)
      }
    }
  }

  /// The route of `request`, whose path is normalised.
  ///
  /// - Throws: `no_route` or `method_not_allowed`, with the methods that are.
  func route(_ request: Request) throws(Refusal) -> Route {
    if let candidates = candidates(for: request, ignoringCase: false) {
      return try choose(among: candidates, for: request)
    }
    if ignoresCase, let candidates = candidates(for: request, ignoringCase: true) {
      return try choose(among: candidates, for: request)
    }
    throw Refusal(.noRoute)
  }

  private func candidates(for request: Request, ignoringCase: Bool) -> [Int]? {
    let merged = request.path.merged
    let path = merged.span
    func accept(_ indexes: [Int]) -> Bool {
      indexes.contains { index in
        (!ignoringCase || routes[index].settings.pathRules.ignoreCase)
          && (routes[index].port == nil || routes[index].port == request.wantedPort)
      }
    }
    if !exactHosts.isEmpty, let tree = exactHosts[request.host],
      let found = tree.values(for: path, ignoringCase: ignoringCase, where: accept)
    {
      return found
    }
    if !wildcardHosts.isEmpty, let dot = request.host.firstIndex(of: UInt8(ascii: ".")), dot > 0,
      let tree = wildcardHosts[Array(request.host[dot...])],
      let found = tree.values(for: path, ignoringCase: ignoringCase, where: accept)
    {
      return found
    }
    return anyHost.values(for: path, ignoringCase: ignoringCase, where: accept)
  }

  private func choose(among indexes: [Int], for request: Request) throws(Refusal) -> Route {
    var best: Route?
    var allowed: Set<[UInt8]> = []
    var isOnlyMethod = false
    for index in indexes {
      let route = routes[index]
      guard route.port == nil || route.port == request.wantedPort,
        route.listeners?[request.listener.index] ?? true, hasHeaders(of: route, request)
      else { continue }
      if let methods = route.methods, !methods.contains(request.methodBytes) {
        isOnlyMethod = true
        allowed.formUnion(methods)
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

  private func hasHeaders(of route: Route, _ request: Request) -> Bool {
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
