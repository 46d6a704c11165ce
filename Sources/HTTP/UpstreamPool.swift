import Synchronization

package import Reactor

/// Where a server is and how to speak to it.
package struct Origin: Hashable, Sendable {
  /// A name or a literal address, without brackets.
  package let host: String
  package let port: UInt16
  package let isEncrypted: Bool
  /// The name that its certificate must have; the host's where nothing else is said.
  package let serverName: String

  package init(host: String, port: UInt16, isEncrypted: Bool, serverName: String? = nil) {
    self.host = host
    self.port = port
    self.isEncrypted = isEncrypted
    self.serverName = serverName ?? host
  }
}

/// Why no connection to a server came about.
package enum ConnectFault: Error, Sendable {
  /// The name has no address, or no address took the connection; in the resolver's or the
  /// kernel's words.
  case unreachable(String)
  case timedOut
  /// The TLS handshake failed: an untrusted certificate, above all.
  case handshake(String)
  /// The server's limit of connections, over all workers, is reached.
  case exhausted
}

/// Counts a server's connections over all workers. Who finds none left waits in a queue.
package final class ConnectionCount: Sendable {
  private let places: Places
  private let keepers = Mutex<[RemoteWaiter]>([])

  /// - Parameter queue: how many may wait for a connection.
  package init(max: Int, queue: Int = 0) { places = Places(max, queueMax: queue) }

  /// Takes one of the connections, waiting for it where there is none: idle connections of other
  /// workers give way then.
  func enter(_ waiter: Waiter, untilMs deadlineMs: Int64) async -> Places.Entry {
    await places.enter(waiter, untilMs: deadlineMs) {
      for keeper in keepers.withLock({ $0 }) { keeper.signal() }
    }
  }

  var hasWaiting: Bool { places.hasWaiting }

  func give() { places.give() }

  func addKeeper(_ keeper: RemoteWaiter) { keepers.withLock { $0.append(keeper) } }
}

/// One worker's connections to one server.
///
/// Idle ones wait on a stack, so that the warmest is used first and the rest age out. Their sockets
/// point at the pool's own waiter: an event on an idle connection, mostly its end, wakes the
/// keeper, which closes what has ended or idled too long.
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
  private let settings: Settings
  private let tls: TLSClientContext?
  private let resolver: Resolver
  private let buffers: BufferPool
  private let count: ConnectionCount
  private let loop: EventLoop
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
    count.addKeeper(idleWaiter.remote)
  }

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
  /// - Parameter deadlineMs: of the request; the connect timeout ends it earlier.
  package func connect(
    for waiter: Waiter, untilMs deadlineMs: Int64
  ) async throws(ConnectFault) -> UpstreamConnection {
    guard await count.enter(waiter, untilMs: deadlineMs) == .taken else { throw .exhausted }
    var isKept = false
    defer { if !isKept { count.give() } }
    let untilMs = min(deadlineMs, loop.nowMs + settings.connectTimeoutMs)
    let socket = try await openSocket(waiter, untilMs)
    let stream = try await secured(socket, waiter, untilMs)
    isKept = true
    return UpstreamConnection(stream, buffers: buffers, headBytesMax: settings.headBytesMax)
  }

  /// Takes a connection back that is ready for another request.
  package func giveBack(_ connection: UpstreamConnection) {
    if isClosed || idle.count >= settings.idleMax || count.hasWaiting {
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
      _ = await idleWaiter.wait(untilMs: oldestMs + max(1, settings.idleTimeoutMs))
      sweep()
    }
  }

  /// Closes idle connections that have ended or aged.
  package func sweep() {
    let expiredMs = loop.nowMs - settings.idleTimeoutMs
    var kept: [UpstreamConnection] = []
    kept.reserveCapacity(idle.count)
    for connection in idle {
      if connection.idleSinceMs > expiredMs, !count.hasWaiting, connection.stream.isQuiet() {
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
    idleWaiter.signal()
  }

  private func openSocket(
    _ waiter: Waiter, _ untilMs: Int64
  ) async throws(ConnectFault) -> Socket {
    let addresses: [SocketAddress]
    do throws(Resolver.Failure) {
      addresses = try await resolver.addresses(
        of: origin.host, port: origin.port, lifeMs: settings.resolveEveryMs, waiter: waiter,
        untilMs: untilMs)
    } catch {
      throw loop.nowMs >= untilMs ? .timedOut : .unreachable("\(origin.host): \(error.text)")
    }
    var last = "no address"
    for (index, address) in addresses.enumerated() {
      // Each address that is left gets an equal part of the time that is left.
      let shareMs = (untilMs - loop.nowMs) / Int64(addresses.count - index)
      do throws(SystemError) {
        let socket = try Socket.connecting(to: address, on: loop)
        socket.waiter = waiter
        let shareUntilMs = loop.nowMs + shareMs
        while try !socket.isConnected() {
          let isSignalled = await waiter.wait(untilMs: shareUntilMs)
          if !isSignalled { throw SystemError.timedOut("connect") }
        }
        return socket
      } catch {
        last = "\(address): \(SystemError.text(of: error.code))"
        if loop.nowMs >= untilMs { throw .timedOut }
      }
    }
    throw .unreachable(last)
  }

  private func secured(
    _ socket: Socket, _ waiter: Waiter, _ untilMs: Int64
  ) async throws(ConnectFault) -> ByteStream {
    guard origin.isEncrypted else { return ByteStream(socket) }
    guard let tls,
      let session = TLSSession(client: tls, name: origin.serverName, over: socket)
    else { throw .handshake("no session") }
    while true {
      switch session.handshake() {
      case .done: return ByteStream(socket, tls: session)
      case .failed(let fault): throw .handshake(fault.text)
      case .wouldBlock:
        let isSignalled = await waiter.wait(untilMs: untilMs)
        if !isSignalled { throw .timedOut }
      }
    }
  }
}
