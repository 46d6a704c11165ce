import Crypto
import HTTP
import OAuth
import Reactor
import Wire

/// All that one worker needs to serve requests by one configuration: the configuration in the
/// worker's own copies, its connections to servers, its caches. `Serve.swift` says what it does
/// with them.
///
/// A reload puts another in its place. Requests that were begun with this one end with it.
final class Engine {
  let shared: SharedState
  let loop: EventLoop
  let buffers: BufferPool
  /// By the name of the door that callers come in by.
  let listeners: [String: Listener]
  let router: Router
  let authenticator: Authenticator
  let exchanger: Exchanger
  let limiter: RateLimiter
  let exchanges: TokenExchanges
  let sharedCache: SharedCacheLink?
  let keyKeeper: KeyKeeper
  let log: AccessLog?
  let tracer: Tracer?
  let overload: Overload
  /// Of requests that no route has.
  private let unrouted: RouteTally
  private let authentications: DurationTally
  private let index: Int
  private var refusalsToNote = LastRefusals.Allowance()
  let connectionLimits: ServerConnection.Limits
  let idleTimeoutMs: Int64
  let bodyTimeoutMs: Int64
  /// Fields that only the gateway fills: every `callerHeader` of the file.
  let callerHeaders: [FieldNameKey]

  let clients: HTTPClients
  private let upstreams: [Upstream]
  private let trusted: AddressRanges
  private var ids = RequestIDs()

  /// - Parameter former: the engine before a reload, whose connections to servers that are the same
  ///   go on.
  init(
    _ shared: SharedState, worker: Worker, index: Int, workers: Int, loop: EventLoop,
    overload: Overload, after former: Engine? = nil
  ) throws(CryptoFault) {
    let digester = try Digester()
    self.overload = overload
    self.shared = shared
    self.index = index
    self.loop = loop
    buffers = former?.buffers ?? BufferPool()
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
    var listeners: [String: Listener] = [:]
    for (index, name) in configuration.listenerDoors.enumerated() {
      listeners[name] = Listener(
        configuration.listeners[index], index: index, tls: shared.listenerContexts[index],
        handshakeTimeoutMs: limits.tlsHandshakeTimeoutMs)
    }
    self.listeners = listeners

    callerHeaders = EngineBuilder.callerHeaders(configuration)
    let builder = EngineBuilder(
      shared: shared, workers: workers, index: index, loop: loop, buffers: buffers,
      callerHeaders: callerHeaders, digester: digester)
    let upstreams = builder.upstreams(after: former?.upstreams ?? [])
    clients = HTTPClients(resolver: shared.process.resolver, buffers: buffers, loop: loop)
    keyKeeper = KeyKeeper(
      shared.tokens, clients: clients, files: shared.process.files, digester: digester, loop: loop)
    authenticator = Authenticator(
      shared.tokens, tokens: WorkerTokens(), digester: digester,
      claims: configuration.accessLog?.claims ?? [], overload: overload)
    let (resolver, buffers) = (shared.process.resolver, buffers)
    sharedCache = shared.tokens.cache.map { cache in
      if let running = former?.sharedCache, running.isLink(to: cache) { return running }
      return SharedCacheLink(
        cache, resolver: resolver, buffers: buffers, loop: loop, workers: workers)
    }
    exchanges = TokenExchanges(
      shared.tokens, worker: worker, index: index, clients: clients, cache: sharedCache,
      digester: digester, loop: loop, overload: overload)
    exchanger = Exchanger(exchanges)
    limiter = RateLimiter(shared.process.rates, digester: digester, link: sharedCache)
    router = Router(builder.routes(upstreams, targets: exchanges))
    log = shared.log.flatMap { log in
      configuration.accessLog.map { settings in
        AccessLog(settings, writer: log.writer, configDigest: shared.configDigest, loop: loop)
      }
    }
    let clients = clients
    tracer = configuration.tracing.map { settings in
      Tracer(
        settings, numbers: shared.process.traces,
        pool: clients.pool(for: settings.endpoint.origin, tls: shared.tracingContext, .tracing),
        loop: loop, report: shared.process.report)
    }
    self.upstreams = upstreams
    unrouted = RouteTally(shared.process.requests.numbers(of: nil), worker: index)
    authentications = shared.process.requests.authentication(of: index)
  }

  /// Those who ask servers how they are.
  var checkers: [HealthChecker] { upstreams.flatMap(\.checkers) }

  /// The connections to all servers.
  var pools: [UpstreamPool] { upstreams.flatMap { $0.servers.map(\.pool) } }

  /// Another engine takes over. What nobody uses any more ends now, all else with its last request.
  func retire(for next: Engine) {
    keyKeeper.end()
    clients.close()
    if sharedCache !== next.sharedCache { sharedCache?.end() }
    log?.retire()
    tracer?.end(for: next.tracer)
    let keptUpstreams = Set(next.upstreams.map(ObjectIdentifier.init))
    for upstream in upstreams where !keptUpstreams.contains(ObjectIdentifier(upstream)) {
      for checker in upstream.checkers { checker.end() }
    }
    let kept = Set(next.pools.map(ObjectIdentifier.init))
    for pool in pools where !kept.contains(ObjectIdentifier(pool)) { pool.close() }
  }

  /// Writes and counts a request whose answer has ended.
  func record(_ request: Request) {
    let endedNs = Clock.monotonicNs()
    log?.write(request, endedNs: endedNs)
    // Looked at where it is: a copy counts the references of all that it holds.
    let status = request.record.status
    let reason = request.record.reason
    let kind = RequestKind(method: request.method, status: status, reason: reason)
    let tookNs = endedNs - request.record.startedNs
    (request.record.route?.tally ?? unrouted).count(
      kind, ns: tookNs, upstreamNs: request.record.firstByteNs)
    if tookNs > LongAnswers.afterMicros * 1_000 { noteIfLong(request.record, tookNs: tookNs) }
    if request.record.authNs > 0 { authentications.add(ns: request.record.authNs) }
    // A tunnel's is why it ended.
    if let reason, status != 101 { remember(request, reason) }
    if let trace = request.trace, trace.isSampled {
      tracer?.record(request, trace, endedNs: endedNs)
    }
  }

  private func noteIfLong(_ record: AccessRecord, tookNs: Int64) {
    let beforeNs = record.authNs + record.exchangeNs + record.connectNs + record.firstByteNs
    guard record.firstByteNs > 0, record.status != LongAnswers.tunnelStatus,
      LongAnswers.isLong(tookNs / 1_000, beforeMicros: beforeNs / 1_000)
    else { return }
    (record.route?.tally ?? unrouted).noteLong(beganAfterNs: beforeNs)
  }

  /// Notes a refusal for those who ask why; of a flood of them not every one.
  private func remember(_ request: Request, _ reason: Refusal.Reason) {
    let nowMs = Clock.wallMs()
    guard refusalsToNote.take(atMs: nowMs) else { return }
    let record = request.record
    let hasHead = request.connection.head.byteCount > 0
    shared.process.refusals.note(
      LastRefusals.Entry(
        atMs: nowMs, status: record.status, reason: reason, route: record.route?.settings.name,
        method: hasHead ? LastRefusals.cut(request.methodBytes) : [],
        host: LastRefusals.cut(request.host), path: LastRefusals.cut(request.path.merged),
        client: request.client, id: request.id,
        exchangeError: record.exchangeError),
      worker: index)
  }

  /// Who is at the other end of a connection, and whether it may speak for others.
  func peer(_ source: ConnectionSource, at listener: Listener) -> Peer {
    switch source.address {
    case .network(let address):
      return Peer(
        address: Array(address.description.utf8),
        isTrusted: !source.isUnnamed && trusted.contains(address))
    case .local:
      return Peer(
        address: Peer.local, isTrusted: listener.isTrusted && !source.isUnnamed, isLocal: true)
    }
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

extension Configuration {
  /// Names of the doors that callers come in by, which tell a listener from all others also after a
  /// reload: its address, and where several say port 0, which of them it is.
  var listenerDoors: [String] {
    var counts: [String: Int] = [:]
    return listeners.map { listener in
      let address = "\(listener.address)"
      let count = counts[address, default: 0]
      counts[address] = count + 1
      return count == 0 ? address : "\(address) #\(count + 1)"
    }
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
