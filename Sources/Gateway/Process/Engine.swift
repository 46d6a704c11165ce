import Crypto
import HTTP
import OAuth
import Reactor
import Wire

/// All that one worker needs to serve requests: the configuration in the worker's own copies, its
/// connections to servers, its caches. `Serve.swift` says what it does with them.
final class Engine {
  let shared: SharedState
  let loop: EventLoop
  let buffers = BufferPool()
  let listeners: [Listener]
  let router: Router
  let authenticator: Authenticator
  let exchanger: Exchanger
  let exchanges: TokenExchanges
  let keyKeeper: KeyKeeper
  let log: AccessLog?
  let connectionLimits: ServerConnection.Limits
  let idleTimeoutMs: Int64
  let bodyTimeoutMs: Int64

  private let pools: [UpstreamPool]
  private let trusted: AddressRanges
  private var ids = RequestIDs()

  init(
    _ shared: SharedState, worker: Worker, index: Int, workers: Int, loop: EventLoop
  ) {
    self.shared = shared
    self.loop = loop
    let configuration = shared.configuration
    let limits = configuration.limits
    idleTimeoutMs = limits.idleTimeoutMs
    bodyTimeoutMs = limits.bodyTimeoutMs
    trusted = configuration.trustedProxies
    connectionLimits = ServerConnection.Limits(
      head: RequestHeadLimits(
        requestLineBytesMax: limits.requestLineBytesMax, headBytesMax: limits.headersBytesMax,
        fieldCountMax: limits.headerCountMax),
      headerTimeoutMs: limits.headerTimeoutMs, idleTimeoutMs: limits.idleTimeoutMs)
    listeners = configuration.listeners.enumerated().map { index, settings in
      Listener(
        index: index, name: settings.name, tls: shared.listenerContexts[index],
        handshakeTimeoutMs: limits.tlsHandshakeTimeoutMs)
    }

    let builder = EngineBuilder(shared, workers: workers, index: index, loop: loop, buffers)
    let upstreams = builder.upstreams()
    let tokens = WorkerTokens(shared.tokens)
    exchanges = TokenExchanges(
      tokens, worker: worker, loop: loop, clients: builder.exchangePools())
    keyKeeper = KeyKeeper(
      shared, worker: worker, loop: loop, clients: builder.clientFactory())
    authenticator = Authenticator(tokens, keyKeeper: keyKeeper)
    exchanger = Exchanger(exchanges)
    router = Router(builder.routes(upstreams, targets: exchanges))
    log = shared.logWriter.flatMap { writer in
      configuration.accessLog.map { settings in
        AccessLog(settings, writer: writer, configDigest: shared.configDigest, loop: loop)
      }
    }
    pools = upstreams.flatMap { $0.servers.map(\.pool) }
  }
}
