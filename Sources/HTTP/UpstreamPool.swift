package import Reactor

/// One worker's connections to one server.
///
/// Idle ones wait on a stack, so that the warmest is used first and the rest age out. Their sockets
/// point at the pool's own waiter: an event on an idle connection, mostly its end, wakes the
/// keeper, which closes what has ended or idled too long, or is connected to an address that the
/// server's name no longer has.
package final class UpstreamPool {
  package struct Settings: Sendable {
    package var connectTimeoutMs: Int64
    package var idleTimeoutMs: Int64
    /// Idle connections that this worker keeps.
    package var idleMax: Int
    /// For how long an answer of the resolver is used.
    package var resolveEveryMs: Int64
    /// The largest answer head taken, in bytes.
    package var headBytesMax: Int

    package init(
      connectTimeoutMs: Int64, idleTimeoutMs: Int64, idleMax: Int, resolveEveryMs: Int64,
      headBytesMax: Int
    ) {
      self.connectTimeoutMs = connectTimeoutMs
      self.idleTimeoutMs = idleTimeoutMs
      self.idleMax = idleMax
      self.resolveEveryMs = resolveEveryMs
      self.headBytesMax = headBytesMax
    }
  }

  package let origin: Origin
  let settings: Settings
  let tls: TLSClientContext?
  let resolver: Resolver
  let loop: EventLoop
  /// What is known of the addresses behind a name; nil where there is none to resolve.
  var addresses: AddressBook?
  private let buffers: BufferPool
  private let count: ConnectionCount
  private let idleWaiter: Waiter
  private var idle: [UpstreamConnection] = []
  private var isClosed = false

  /// - Parameter tls: whom to trust; needed where the origin is encrypted.
  package init(
    _ origin: Origin, settings: Settings, tls: TLSClientContext?, resolver: Resolver,
    buffers: BufferPool, count: ConnectionCount, loop: EventLoop
  ) {
    self.origin = origin
    self.settings = settings
    self.tls = tls
    self.resolver = resolver
    self.buffers = buffers
    self.count = count
    self.loop = loop
    idleWaiter = Waiter(on: loop)
    addresses = origin.isNamed ? AddressBook() : nil
    count.addKeeper(idleWaiter.remote)
  }

  /// Whether a request would get a connection without waiting for another one's end.
  package var hasRoom: Bool { !idle.isEmpty || count.hasRoom }

  /// Whether requests wait for a connection to this server, at any worker.
  package var isSoughtAfter: Bool { count.hasWaiting }

  /// An idle connection that is still good, or nil.
  package func takeIdle(for waiter: Waiter) -> UpstreamConnection? {
    while let connection = idle.popLast() {
      if connection.stream.isQuiet() {
        connection.stream.waiter = waiter
        return connection
      }
      drop(connection)
    }
    return nil
  }

  /// Opens a connection.
  ///
  /// - Parameters:
  ///   - deadlineMs: of the request; the connect timeout ends it earlier.
  ///   - isGone: whether nobody needs it any more; asked while it waits.
  package func connect(
    for waiter: Waiter, untilMs deadlineMs: Int64, isGone: () -> Bool = { false }
  ) async throws(ConnectFault) -> UpstreamConnection {
    switch await count.enter(waiter, untilMs: deadlineMs, isGone: isGone) {
    case .taken: break
    case .refused, .timedOut: throw .exhausted
    case .abandoned: throw .abandoned
    }
    var isKept = false
    defer { if !isKept { count.give() } }
    let untilMs = min(deadlineMs, loop.nowMs + settings.connectTimeoutMs)
    let (socket, address) = try await openSocket(waiter, untilMs)
    let stream = try await secured(socket, waiter, untilMs)
    isKept = true
    let connection = UpstreamConnection(
      stream, buffers: buffers, headBytesMax: settings.headBytesMax)
    connection.address = address
    connection.addressesSeen = addresses?.generation ?? 0
    return connection
  }

  /// Takes a connection back that is ready for another request.
  package func giveBack(_ connection: UpstreamConnection) {
    if isClosed || idle.count >= settings.idleMax || count.hasWaiting || !isCurrent(connection) {
      drop(connection)
      return
    }
    connection.idleSinceMs = loop.nowMs
    connection.stream.waiter = idleWaiter
    idle.append(connection)
  }

  /// Closes a connection that can't be used again.
  package func drop(_ connection: UpstreamConnection) {
    connection.discard()
    count.give()
  }

  /// Closes idle connections as they end or age, until `close`; the worker runs it as a task.
  package func keepIdle() async {
    while !isClosed {
      // Without one, a look after that time: one that comes meanwhile is not told of, and ends
      // later.
      let oldestMs = idle.first?.idleSinceMs ?? loop.nowMs
      var untilMs = oldestMs + max(1, settings.idleTimeoutMs)
      if addresses != nil { untilMs = min(untilMs, loop.nowMs + settings.resolveEveryMs) }
      _ = await idleWaiter.wait(untilMs: untilMs)
      if isClosed { return }
      lookAtAddresses(tell: idleWaiter.remote)
      sweep()
    }
  }

  /// Closes idle connections that have ended or aged.
  package func sweep() {
    let expiredMs = loop.nowMs - settings.idleTimeoutMs
    var kept: [UpstreamConnection] = []
    kept.reserveCapacity(idle.count)
    for connection in idle {
      if connection.idleSinceMs > expiredMs, !count.hasWaiting, connection.stream.isQuiet(),
        isCurrent(connection)
      {
        kept.append(connection)
      } else {
        drop(connection)
      }
    }
    idle = kept
  }

  /// Closes what is idle and keeps nothing from now on.
  package func close() {
    isClosed = true
    for connection in idle { drop(connection) }
    idle = []
    count.removeKeeper(idleWaiter.remote)
    idleWaiter.signal()
  }

  /// Whether a connection's address is still one of the server's.
  private func isCurrent(_ connection: UpstreamConnection) -> Bool {
    guard let generation = addresses?.generation, connection.addressesSeen != generation else {
      return true
    }
    connection.addressesSeen = generation
    guard let address = connection.address else { return true }
    return addresses?.holds(address) ?? true
  }
}
