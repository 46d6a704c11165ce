import Crypto
import HTTP
import Reactor
import Wire

/// What a worker is started with.
struct WorkerPlan: Sendable {
  let shared: SharedState
  let index: Int
  let workers: Int
  /// For each listener of the configuration its socket.
  let listeners: [ListeningSocket.Bound]
  /// At one worker only.
  let admin: ListeningSocket.Bound?
  let probes: ListeningSocket.Bound?
}

/// One thread's share of the gateway: its listeners, its callers' connections, its engine.
///
/// The actor's executor is its event loop, so all of its state, and every object that its tasks
/// reach, lives on one thread and needs no lock.
actor Worker {
  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  /// Who serves what a listening socket accepts.
  private enum Door {
    case listener(Int)
    case admin
    case probes
  }

  private let shared: SharedState
  private let index: Int
  private var engine: Engine?
  private var acceptWaiters: [Waiter] = []
  /// A caller's connection and how it came.
  private struct Guest {
    let connection: ServerConnection
    let listener: Int
    let peer: Peer
  }

  private var guests: [UInt64: Guest] = [:]
  private var connectionSerial: UInt64 = 0
  private var isDraining = false
  private var onDrained: (@Sendable () -> Void)?

  init(loop: EventLoop, shared: SharedState, index: Int) {
    self.loop = loop
    self.shared = shared
    self.index = index
  }

  /// Begins to serve.
  func start(_ plan: WorkerPlan) {
    let engine: Engine
    do throws(CryptoFault) {
      engine = try Engine(shared, worker: self, index: index, workers: plan.workers, loop: loop)
    } catch {
      // `prepare` has made a digester before: this is a machine without memory.
      shared.report("worker \(index) can't start: \(error)")
      return
    }
    self.engine = engine
    for (index, bound) in plan.listeners.enumerated() {
      loop.spawn { await self.accept(at: bound, .listener(index)) }
    }
    if let admin = plan.admin { loop.spawn { await self.accept(at: admin, .admin) } }
    if let probes = plan.probes { loop.spawn { await self.accept(at: probes, .probes) } }
    for index in 0..<engine.poolCount { loop.spawn { await self.keepPool(index) } }
    if engine.log != nil { loop.spawn { await self.flushLog() } }
    if engine.sharedCache != nil {
      loop.spawn { await self.keepSharedCache() }
      loop.spawn { await self.keepSharedLocks() }
    }
    loop.spawn { await self.trimBuffers() }
    if index == 0 {
      for issuer in shared.tokens.issuers.indices { loop.spawn { await self.keepKeys(issuer) } }
    }
  }

  // The worker's standing tasks.

  private func keepPool(_ index: Int) async { await engine?.pool(index).keepIdle() }

  private func flushLog() async { await engine?.log?.flushRegularly() }

  private func keepSharedCache() async { await engine?.sharedCache?.run() }

  private func keepSharedLocks() async { await engine?.sharedCache?.keepLocks() }

  private func keepKeys(_ issuer: Int) async { await engine?.keyKeeper.keep(issuer) }

  private func trimBuffers() async {
    let waiter = Waiter(on: loop)
    while true {
      _ = await waiter.wait(untilMs: loop.nowMs + Limits.trimEveryMs)
      engine?.buffers.trim()
      engine?.clients.sweep()
      if index == 0 { shared.tokens.removeEnded() }
    }
  }

  /// Runs an exchange that belongs to none of the callers who wait for it.
  func perform(_ flight: ExchangeFlight) async { await engine?.exchanges.perform(flight) }

  // Connections.

  private func accept(at bound: ListeningSocket.Bound, _ door: Door) async {
    let socket: ListeningSocket
    do throws(SystemError) {
      socket = try ListeningSocket(adopting: bound, on: loop)
    } catch {
      shared.report("listen \(bound.address): \(error)")
      return
    }
    let waiter = Waiter(on: loop)
    socket.waiter = waiter
    acceptWaiters.append(waiter)
    var hasReported = false
    // Probes are answered until the end.
    let closesFirst = if case .listener = door { true } else { false }
    var acceptedInTurn = 0
    while true {
      switch socket.accept(on: loop) {
      case .connection(let connection, let peer):
        hasReported = false
        acceptedInTurn += 1
        connectionSerial += 1
        admit(connection, peer, door, serial: connectionSerial)
        if acceptedInTurn >= Limits.acceptsPerTurn {
          acceptedInTurn = 0
          await waiter.pause()
        }
      case .skipped: continue
      case .none:
        // What was queued is served before the socket closes.
        if isDraining, closesFirst { return }
        acceptedInTurn = 0
        _ = await waiter.wait()
      case .exhausted(let error):
        if !hasReported { shared.report("can't accept connections: \(error)") }
        hasReported = true
        if isDraining, closesFirst { return }
        let untilMs = loop.nowMs + Limits.acceptPauseMs
        while loop.nowMs < untilMs { _ = await waiter.wait(untilMs: untilMs) }
      }
    }
  }

  private func admit(_ socket: Socket, _ peer: SocketAddress, _ door: Door, serial: UInt64) {
    switch door {
    case .admin: loop.spawn { await self.serveAdmin(socket, isProbe: false) }
    case .probes: loop.spawn { await self.serveAdmin(socket, isProbe: true) }
    case .listener(let index):
      let isWelcome = shared.takeConnection()
      loop.spawn {
        if isWelcome {
          await self.welcome(socket, peer, listener: index, serial: serial)
        } else {
          await self.shed(socket, listener: index)
        }
      }
    }
  }

  private func welcome(
    _ socket: Socket, _ peer: SocketAddress, listener index: Int, serial: UInt64
  ) async {
    guard let engine else { return }
    let waiter = Waiter(on: loop)
    socket.waiter = waiter
    guard let stream = await secured(socket, engine.listeners[index], waiter) else {
      shared.giveConnection()
      return
    }
    let connection = ServerConnection(
      stream, waiter: waiter, buffers: engine.buffers, limits: engine.connectionLimits)
    guests[serial] = Guest(connection: connection, listener: index, peer: engine.peer(peer))
    if isDraining { connection.drain() }
    await serve(serial)
  }

  /// Serves a connection until it ends, or until it idles; then it waits without a task.
  private func serve(_ serial: UInt64) async {
    guard let engine, let guest = guests[serial] else { return }
    let isIdle = await engine.serve(
      guest.connection, from: engine.listeners[guest.listener], peer: guest.peer)
    if isIdle {
      guest.connection.park { self.loop.spawn { await self.serve(serial) } }
      return
    }
    guests[serial] = nil
    shared.giveConnection()
    if guests.isEmpty { onDrained?() }
  }

  private func secured(
    _ socket: Socket, _ listener: Listener, _ waiter: Waiter
  ) async -> ByteStream? {
    guard let context = listener.tls else { return ByteStream(socket) }
    guard let session = TLSSession(server: context, over: socket) else { return nil }
    let untilMs = loop.nowMs + listener.handshakeTimeoutMs
    while true {
      switch session.handshake() {
      case .done: return ByteStream(socket, tls: session)
      case .failed: return nil
      case .wouldBlock:
        let isSignalled = await waiter.wait(untilMs: untilMs)
        if !isSignalled { return nil }
      }
    }
  }

  /// One connection too many: told so where that costs no handshake.
  private func shed(_ socket: Socket, listener index: Int) async {
    guard let engine, engine.listeners[index].tls == nil else { return }
    let waiter = Waiter(on: loop)
    socket.waiter = waiter
    let connection = ServerConnection(
      ByteStream(socket), waiter: waiter, buffers: engine.buffers,
      limits: engine.connectionLimits)
    await engine.shed(connection, from: engine.listeners[index])
  }

  private func serveAdmin(_ socket: Socket, isProbe: Bool) async {
    guard let engine else { return }
    let waiter = Waiter(on: loop)
    socket.waiter = waiter
    let connection = ServerConnection(
      ByteStream(socket), waiter: waiter, buffers: engine.buffers, limits: Admin.limits)
    let admin = Admin(shared, isProbe: isProbe)
    await connection.serveSmall(contentBytesMax: Admin.contentBytesMax) { request in
      admin.answer(request)
    }
  }

  // The end.

  /// Stops accepting, ends idle connections, lets requests finish; then calls `whenDone`, once or
  /// more.
  func drain(whenDone: @escaping @Sendable () -> Void) {
    isDraining = true
    onDrained = whenDone
    for waiter in acceptWaiters { waiter.signal() }
    for guest in guests.values { guest.connection.drain() }
    if guests.isEmpty { whenDone() }
  }

  /// Hands over the log lines that are left.
  func finish() { engine?.log?.flush() }
}
