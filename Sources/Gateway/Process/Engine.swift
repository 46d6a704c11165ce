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
  /// Fields that only the gateway fills: every `callerHeader` of the file.
  let callerHeaders: [FieldNameKey]

  let clients: HTTPClients
  private let pools: [UpstreamPool]
  private let trusted: AddressRanges
  private var ids = RequestIDs()

  init(
    _ shared: SharedState, worker: Worker, index: Int, workers: Int, loop: EventLoop
  ) throws(CryptoFault) {
    let digester = try Digester()
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

    callerHeaders = EngineBuilder.callerHeaders(configuration)
    let builder = EngineBuilder(
      shared: shared, workers: workers, index: index, loop: loop, buffers: buffers,
      callerHeaders: callerHeaders)
    let upstreams = builder.upstreams()
    clients = HTTPClients(resolver: shared.resolver, buffers: buffers, loop: loop)
    keyKeeper = KeyKeeper(shared.tokens, clients: clients, digester: digester, loop: loop)
    authenticator = Authenticator(
      shared.tokens, tokens: WorkerTokens(), digester: digester,
      claims: configuration.accessLog?.claims ?? [])
    exchanges = TokenExchanges(
      shared.tokens, worker: worker, clients: clients, digester: digester, loop: loop)
    exchanger = Exchanger(exchanges)
    router = Router(builder.routes(upstreams, targets: exchanges))
    log = shared.logWriter.flatMap { writer in
      configuration.accessLog.map { settings in
        AccessLog(settings, writer: writer, configDigest: shared.configDigest, loop: loop)
      }
    }
    pools = upstreams.flatMap { $0.servers.map(\.pool) }
  }
  var poolCount: Int { pools.count }

  func pool(_ index: Int) -> UpstreamPool { pools[index] }

  /// Who is at the other end of a connection, and whether it may speak for others.
  func peer(_ address: SocketAddress) -> Peer {
    let host = address.host
    let isTrusted = !trusted.isEmpty && IPAddress(host).map(trusted.contains) ?? false
    return Peer(address: Array(host.utf8), isTrusted: isTrusted)
  }

  /// Gives the request its id and finds its client: what a trusted proxy says of them, else our own
  /// (ROUTES.md, "Forwarding fields").
  func identify(_ request: Request) {
    request.client = request.peer.address
    guard request.peer.isTrusted else {
      ids.make(into: &request.id)
      return
    }
    let received = request.connection.received
    let head = request.connection.head
    if let line = head.first(.xRequestID), isRequestID(received.slice(line.value)) {
      request.id = [UInt8](copying: received.slice(line.value))
    } else {
      ids.make(into: &request.id)
    }
    if let client = ForwardedFor.client(head, received, trusted: trusted) {
      request.client = client
    }
  }

  private func isRequestID(_ value: Span<UInt8>) -> Bool {
    guard (1...128).contains(value.count) else { return false }
    for index in 0..<value.count {
      switch value[index] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "-"):
        continue
      default: return false
      }
    }
    return true
  }
}

/// Reads the addresses of `X-Forwarded-For`.
enum ForwardedFor {
  /// The rightmost address that is no trusted proxy's; the leftmost where all are; nil without a
  /// readable one.
  static func client(
    _ head: RequestHead, _ received: Buffer, trusted: AddressRanges
  ) -> [UInt8]? {
    var list: [UInt8] = []
    for line in head.fields where line.known == .xForwardedFor && !line.hasUnderscore {
      if !list.isEmpty { list.append(UInt8(ascii: ",")) }
      list += [UInt8](copying: received.slice(line.value))
    }
    var client: [UInt8]?
    for part in list.split(separator: UInt8(ascii: ",")).reversed() {
      let text = part.filter { !ByteClass.isBlank($0) }
      guard let address = IPAddress(text.span) else { return client }
      client = text
      if !trusted.contains(address) { return client }
    }
    return client
  }
}
