import Crypto
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
  let digester: Digester

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
    let listenerCount = configuration.listeners.count
    var claimRules = ClaimRules.Table()
    var claims = FieldClaim.Table()
    let places = tokenPlaces()
    return configuration.routes.map { settings in
      let action = action(settings, upstreams, places, &claims)
      let rates = rates(settings, &claims)
      let tally = RouteTally(
        shared.process.requests.numbers(of: settings.name), worker: index)
      var cors: CORS?
      var preflight: Route?
      switch settings.cors {
      case nil: break
      case .upstream:
        preflight = Route(
          settings, access: .open, action: action, listenerCount: listenerCount, tally: tally,
          rates: rates.map { RouteRates($0.early) })
      case .own(let own):
        let made = CORS(own, methods: corsMethods(settings))
        cors = made
        preflight = Route(
          settings, access: .open, action: .preflight, listenerCount: listenerCount, tally: tally,
          cors: made, rates: rates.flatMap(preflightRates))
      }
      return Route(
        settings, access: access(settings.access, targets, &claimRules, places),
        ownToken: settings.ownToken.map { own in
          Route.OwnToken(
            target: targets.target(exchange: own.exchange, own.target),
            callerHeader: own.callerHeader?.bytes.map { $0 })
        },
        action: action, listenerCount: listenerCount, tally: tally, cors: cors, rates: rates,
        preflight: preflight)
    }
  }

  /// Those that a page may ask for where `cors` names none: the route's, or the usual ones.
  private func corsMethods(_ settings: RouteSettings) -> String {
    (settings.match.methods?.map(\.string) ?? ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
      .joined(separator: ", ")
  }

  private func rates(
    _ settings: RouteSettings, _ claims: inout FieldClaim.Table
  ) -> RouteRates? {
    if settings.rateLimits.isEmpty { return nil }
    let limits = settings.rateLimits.enumerated().map { number, limit in
      let key: RateLimit.Key
      switch limit.by {
      case .address: key = .address
      case .route: key = .route
      case .claim(let name): key = .claim(claims.claim(name))
      case .header(let name): key = FieldNameKey(name.bytes).map { .header($0) } ?? .route
      }
      return RateLimit(
        identity: identity(of: limit, number, settings).bytes, key: key,
        intervalNs: limit.intervalNs, burst: Int64(limit.burst))
    }
    return RouteRates(limits)
  }

  /// What preflights count in that the gateway answers: who sends floods of them is limited, but
  /// they take nothing of what the service can bear, and a browser sends no fields of the page's.
  private func preflightRates(_ rates: RouteRates) -> RouteRates? {
    let limits = rates.early.filter { limit in
      if case .address = limit.key { return true }
      return false
    }
    return limits.isEmpty ? nil : RouteRates(limits)
  }

  /// The same for the same limit of the same route, also after a reload and at other gateways.
  private func identity(
    of limit: RateLimitSettings, _ number: Int, _ settings: RouteSettings
  ) -> SHA256Digest {
    let match = settings.match
    let parts = [
      "\(match.host)", match.path.text, "\(match.methods?.map(\.string) ?? [])",
      "\(match.listeners?.map { shared.configuration.listeners[$0].name } ?? [])",
      "\(match.headers.map { ($0.name.string, $0.value.string) })", "\(number)",
      "\(limit.requests) \(limit.perMs) \(limit.burst) \(limit.by)",
    ]
    return digester.digest(parts.flatMap { Array("\($0.utf8.count):\($0)".utf8) })
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
    _ settings: RouteSettings, _ upstreams: [Upstream], _ places: TokenPlaces?,
    _ claims: inout FieldClaim.Table
  ) -> Route.Action {
    switch settings.action {
    case .respond(let answer): return .respond(answer)
    case .redirect(let redirect):
      return .redirect(
        Route.Redirect(
          to: FieldTemplate(redirect.to, &claims),
          restAfter: redirect.keepsRest ? settings.match.path.segments.count - 1 : nil,
          status: redirect.status, places: places))
    case .forward(let forward):
      var keepsToken = false
      if case .checked(_, _, .passedThrough) = settings.access { keepsToken = true }
      var hasOwnCORS = false
      if case .own = settings.cors { hasOwnCORS = true }
      let upstream = upstreams[forward.upstream]
      return .forward(
        Route.Forward(
          forward, upstream: upstream, places: places, keepsToken: keepsToken,
          callerHeaders: callerHeaders, traces: shared.configuration.tracing != nil,
          fields: FieldRewrite(forward.headers, &claims),
          answerChanges: AnswerChanges(
            fields: FieldRewrite(forward.answerHeaders, &claims),
            paths: PathMapping(forward.path), pathRules: settings.pathRules,
            servers: upstream.servers.map(\.authority), hasOwnCORS: hasOwnCORS)))
    }
  }

  /// Limits are for the whole process: this worker's part of one, at least 1 of any.
  private func share(of count: Int) -> Int { (count + workers - 1) / workers }
}
