import HTTP
import OAuth
import Reactor
import Wire

/// Makes one worker's own copies of what the configuration says: routes, servers, connections.
struct EngineBuilder {
  let shared: SharedState
  let workers: Int
  let index: Int
  let loop: EventLoop
  let buffers: BufferPool
  let callerHeaders: [FieldNameKey]

  /// The upstreams, by their index in the configuration. Those of `former` that are the same go
  /// on.
  func upstreams(after former: [Upstream] = []) -> [Upstream] {
    // Of an upstream that changed, the servers that stay have their connections.
    let pools = Dictionary(
      former.flatMap(\.servers).map { (ObjectIdentifier($0.shared), $0.pool) },
      uniquingKeysWith: { first, _ in first })
    let former = Dictionary(uniqueKeysWithValues: former.map { (ObjectIdentifier($0.shared), $0) })
    return shared.upstreams.map { upstream in
      if let same = former[ObjectIdentifier(upstream)] { return same }
      let servers = upstream.servers.enumerated().map { number, server in
        Upstream.Server(
          server, index: number, pool: pools[ObjectIdentifier(server)] ?? pool(of: server),
          worker: index)
      }
      return Upstream(upstream, servers: servers, checkers: checkers(of: upstream))
    }
  }

  private func pool(of server: SharedServer) -> UpstreamPool {
    let connections = server.connections
    return UpstreamPool(
      server.origin,
      settings: UpstreamPool.Settings(
        connectTimeoutMs: connections.connectTimeoutMs, idleTimeoutMs: connections.idleTimeoutMs,
        idleMax: share(of: connections.idleMax), resolveEveryMs: connections.resolveEveryMs,
        headBytesMax: Limits.answerHeadBytesMax),
      tls: server.context, resolver: shared.process.resolver, buffers: buffers,
      count: server.count, loop: loop)
  }

  /// The servers are dealt out to the workers.
  private func checkers(of upstream: SharedUpstream) -> [HealthChecker] {
    guard let settings = upstream.settings.healthCheck else { return [] }
    return upstream.servers.indices.filter { $0 % workers == index }.map { number in
      HealthChecker(
        upstream, server: number, settings: settings, resolver: shared.process.resolver,
        buffers: buffers, loop: loop)
    }
  }

  /// The routes, by their index in the configuration.
  func routes(_ upstreams: [Upstream], targets: TokenExchanges) -> [Route] {
    let configuration = shared.configuration
    var claimRules = ClaimRules.Table()
    let places = tokenPlaces()
    return configuration.routes.map { settings in
      Route(
        settings, access: access(settings.access, targets, &claimRules, places),
        ownToken: settings.ownToken.map { own in
          Route.OwnToken(
            target: targets.target(exchange: own.exchange, own.target),
            callerHeader: own.callerHeader?.bytes.map { $0 })
        },
        action: action(settings, upstreams, places), listenerCount: configuration.listeners.count)
    }
  }

  /// Every field that says to a service who called: dropped from all requests, wherever it is set.
  static func callerHeaders(_ configuration: Configuration) -> [FieldNameKey] {
    let names = configuration.routes.compactMap { $0.ownToken?.callerHeader }
    return Set(names.compactMap { FieldNameKey($0.bytes.map(ByteClass.lowercased)) }).map { $0 }
  }

  private func access(
    _ settings: RouteAccess, _ targets: TokenExchanges, _ claimRules: inout ClaimRules.Table,
    _ places: TokenPlaces?
  ) -> Route.Access {
    switch settings {
    case .open: return .open
    case .checked(let authentication, let admission, let onward):
      let issuerCount = shared.configuration.issuers.count
      return .checked(
        Route.Check(
          issuers: (0..<issuerCount).map { authentication.issuers.contains($0) },
          scopes: authentication.scopes, anyScopes: authentication.anyScopes,
          claims: claimRules.rules(authentication.claims),
          sources: sources(authentication.places, places), realm: authentication.realm,
          admission: admission,
          onward: {
            switch onward {
            case .exchanged(let exchange, let target):
              .exchanged(target: targets.target(exchange: exchange, target))
            case .stripped: .stripped
            case .passedThrough: .passedThrough
            }
          }()))
    }
  }

  /// Where any route of the file looks for tokens.
  private func tokenPlaces() -> TokenPlaces? {
    TokenPlaces(
      shared.configuration.routes.flatMap { route -> [TokenPlace] in
        if case .checked(let authentication, _, _) = route.access { return authentication.places }
        return []
      })
  }

  private func sources(_ wanted: [TokenPlace], _ places: TokenPlaces?) -> Route.Sources? {
    guard wanted != [.header], let places else { return nil }
    return Route.Sources(places: places, list: wanted.compactMap(places.source))
  }

  private func action(
    _ settings: RouteSettings, _ upstreams: [Upstream], _ places: TokenPlaces?
  ) -> Route.Action {
    switch settings.action {
    case .respond(let answer): return .respond(answer)
    case .forward(let forward):
      var keepsToken = false
      if case .checked(_, _, .passedThrough) = settings.access { keepsToken = true }
      return .forward(
        Route.Forward(
          forward, upstream: upstreams[forward.upstream], places: places, keepsToken: keepsToken,
          callerHeaders: callerHeaders))
    }
  }

  /// Limits are for the whole process: this worker's part of one, at least 1 of any.
  private func share(of count: Int) -> Int { (count + workers - 1) / workers }
}
