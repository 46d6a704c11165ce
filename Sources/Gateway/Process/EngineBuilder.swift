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

  /// The upstreams, by their index in the configuration. Those of `former` that are the same go on.
  func upstreams(after former: [Upstream] = []) -> [Upstream] {
    let former = Dictionary(uniqueKeysWithValues: former.map { (ObjectIdentifier($0.shared), $0) })
    return shared.upstreams.map { upstream in
      if let same = former[ObjectIdentifier(upstream)] { return same }
      let settings = upstream.settings
      let servers = settings.servers.enumerated().map { serverNumber, server in
        let origin = Origin(
          host: server.origin.host, port: server.origin.port,
          isEncrypted: server.origin.isSecure, serverName: settings.tls.serverName?.text)
        var name: [UInt8] = []
        JSONWriter.appendString(server.origin.authority, to: &name)
        return Upstream.Server(
          pool: UpstreamPool(
            origin,
            settings: UpstreamPool.Settings(
              connectTimeoutMs: settings.connectTimeoutMs,
              idleTimeoutMs: settings.idleTimeoutMs,
              idleMax: share(of: settings.idleConnectionsMax),
              resolveEveryMs: settings.resolveEveryMs,
              headBytesMax: Limits.answerHeadBytesMax),
            tls: upstream.context, resolver: shared.process.resolver, buffers: buffers,
            count: upstream.counts[serverNumber], loop: loop),
          authority: Array(server.origin.authority.utf8), nameJSON: name)
      }
      return Upstream(upstream, servers: servers, first: index)
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
        action: action(settings, upstreams, places), listenerCount: configuration.listeners.count,
        tally: RouteTally(
          shared.process.requests.numbers(of: settings.name), worker: index))
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

  /// Limits are for the whole process: this worker's part of one, at least 1.
  private func share(of count: Int) -> Int {
    max(1, (count + workers - 1) / workers)
  }
}
