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

  /// The upstreams, by their index in the configuration.
  func upstreams() -> [Upstream] {
    shared.configuration.upstreams.enumerated().map { number, settings in
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
            tls: shared.upstreamContexts[number], resolver: shared.resolver, buffers: buffers,
            count: shared.upstreamCounts[number][serverNumber], loop: loop),
          authority: Array(server.origin.authority.utf8), nameJSON: name)
      }
      return Upstream(name: settings.name, servers: servers, first: index)
    }
  }

  /// The routes, by their index in the configuration.
  func routes(_ upstreams: [Upstream], targets: TokenExchanges) -> [Route] {
    let configuration = shared.configuration
    return configuration.routes.map { settings in
      Route(
        settings, access: access(settings.access, targets),
        ownToken: settings.ownToken.map { own in
          Route.OwnToken(
            target: targets.target(exchange: own.exchange, own.target),
            callerHeader: own.callerHeader?.bytes.map { $0 })
        },
        action: action(settings, upstreams), listenerCount: configuration.listeners.count)
    }
  }

  /// Every field that says to a service who called: dropped from all requests, wherever it is set.
  static func callerHeaders(_ configuration: Configuration) -> [FieldNameKey] {
    let names = configuration.routes.compactMap { $0.ownToken?.callerHeader }
    return Set(names.compactMap { FieldNameKey($0.bytes.map(ByteClass.lowercased)) }).map { $0 }
  }

  private func access(_ settings: RouteAccess, _ targets: TokenExchanges) -> Route.Access {
    switch settings {
    case .open: return .open
    case .checked(let authentication, let admission, let onward):
      let issuerCount = shared.configuration.issuers.count
      return .checked(
        Route.Check(
          issuers: (0..<issuerCount).map { authentication.issuers.contains($0) },
          scopes: authentication.scopes, anyScopes: authentication.anyScopes,
          realm: authentication.realm, admission: admission,
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

  private func action(_ settings: RouteSettings, _ upstreams: [Upstream]) -> Route.Action {
    switch settings.action {
    case .respond(let answer): return .respond(answer)
    case .forward(let forward):
      return .forward(
        Route.Forward(
          forward, upstream: upstreams[forward.upstream], callerHeaders: callerHeaders))
    }
  }

  /// Limits are for the whole process: this worker's part of one, at least 1.
  private func share(of count: Int) -> Int {
    max(1, (count + workers - 1) / workers)
  }
}
