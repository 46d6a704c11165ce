import Crypto
import HTTP
import Reactor
import Wire

/// What changes for a worker when it starts and at each reload.
struct WorkerPlan: Sendable {
  let shared: SharedState
  let workers: Int
  /// For each new door this worker's sockets.
  let opened: [Door: [ListeningSocket.Bound]]
  /// Doors that are no more.
  let closed: [Door]
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

  private let index: Int
  private let process: ProcessState
  /// Of the configuration that runs.
  private var engine: Engine?
  /// How many configurations it has taken up.
  private var adoptions = 0
  /// The sockets at which it accepts; a door that systemd passes may have several.
  private var entrances: [Door: [Entrance]] = [:]

  private final class Entrance {
    let waiter: Waiter
    var isClosed = false
    init(_ waiter: Waiter) { self.waiter = waiter }
  }

  /// A caller's connection and how it came; an object, because the table that holds thousands of
  /// them has twice the room that it needs.
  private final class Guest {
    let source: ConnectionSource
    let connection: ServerConnection
    let listener: String
    /// Whose listener it came by is no more, or takes nobody that way: it is served to its end by
    /// what it came for.
    var engine: Engine?
    /// Since when it idles; nil while it is served.
    var idleSinceMs: Int64?

    init(connection: ServerConnection, listener: String, source: ConnectionSource) {
      self.source = source
      self.connection = connection
      self.listener = listener
    }
  }

  private var guests: [UInt64: Guest] = [:]
  private let idling = Idling()
  private var idlers = IdleQueue()
  private var newcomers = Newcomers()
  private var sheds = ShedBudget()
  private var connectionSerial: UInt64 = 0
  private var isDraining = false
  /// Another process accepts in this one's place, but at doors that it has left.
  private var isLeaving = false
  /// When tunnels end that go on while it drains.
  private var tunnelsEndMs = Int64.max
  private var onDrained: (@Sendable () -> Void)?
  /// Callers of TLS listeners who have not said anything yet.
  private var silent: [ObjectIdentifier: Waiter] = [:]
  private let handshakes: HandshakePlaces
  private let handshakeTally: HandshakeTally
  private let overload: Overload
  private var pressure = ConnectionPressure()
  /// How many busy connections are yet to end with an answer, because there are too many.
  private var closesWanted = 0

  init(loop: EventLoop, process: ProcessState, index: Int) {
    self.loop = loop
    self.process = process
    self.index = index
    handshakeTally = process.handshakes.makeTally()
    handshakes = HandshakePlaces(
      Limits.handshakesMax, graceMs: Limits.handshakeGraceMs, loop: loop)
    overload = Overload(process, index: index)
  }

  /// Begins to serve, or goes on by another configuration. Requests that are under way end by the
  /// one that they began with.
  func adopt(_ plan: WorkerPlan) {
    let former = engine
    let engine: Engine
    do throws(CryptoFault) {
      engine = try Engine(
        plan.shared, worker: self, index: index, workers: plan.workers, loop: loop,
        overload: overload, after: former)
    } catch {
      // `prepare` has made a digester before: this is a machine without memory.
      process.report(.error("worker \(index) can't start: \(error)"))
      return
    }
    self.engine = engine
    adoptions += 1
    let kept = Set(former?.pools.map(ObjectIdentifier.init) ?? [])
    let keptCheckers = Set(former?.checkers.map(ObjectIdentifier.init) ?? [])
    former?.retire(for: engine)
    for door in plan.closed { close(door, former) }
    for (name, listener) in former?.listeners ?? [:] {
      // Who came in as nobody does any more is not let stay by staying connected.
      if let next = engine.listeners[name], !next.admitsAlike(listener) { turnOut(name, former) }
    }
    if let former, former.connectionLimits != engine.connectionLimits {
      for guest in guests.values where guest.engine == nil {
        guest.connection.take(engine.connectionLimits)
      }
    }
    open(plan.opened)
    for (index, pool) in engine.pools.enumerated() where !kept.contains(ObjectIdentifier(pool)) {
      loop.spawn { await self.keepPool(index, of: plan.shared) }
    }
    for (index, checker) in engine.checkers.enumerated()
    where !keptCheckers.contains(ObjectIdentifier(checker)) {
      loop.spawn { await self.keepChecking(index, of: plan.shared) }
    }
    if engine.log != nil { loop.spawn { await self.flushLog(of: plan.shared) } }
    if engine.sharedCache != nil, engine.sharedCache !== former?.sharedCache {
      loop.spawn { await self.keepSharedCache(of: plan.shared) }
      loop.spawn { await self.keepSharedLocks(of: plan.shared) }
    }
    if engine.tracer != nil { loop.spawn { await self.keepTracing(of: plan.shared) } }
    if index == 0 {
      for issuer in plan.shared.tokens.issuers.indices {
        loop.spawn { await self.keepKeys(issuer, of: plan.shared) }
      }
    }
    if former == nil {
      let (overload, handshakes) = (overload, handshakes)
      loop.watchWait { standingMs in
        overload.endWindow(standingMs: standingMs)
        handshakes.bound(
          to: overload.isBehind ? Limits.handshakesMaxBehind : Limits.handshakesMax)
      }
      loop.spawn { await self.trimBuffers() }
      if index == 0 { loop.spawn { await self.sampleTraffic() } }
    }
  }

  /// Begins to accept.
  func open(_ opened: [Door: [ListeningSocket.Bound]]) {
    for (door, sockets) in opened {
      for bound in sockets { loop.spawn { await self.accept(at: bound, door) } }
    }
  }

  private func close(_ door: Door, _ former: Engine?) {
    for entrance in entrances.removeValue(forKey: door) ?? [] {
      entrance.isClosed = true
      entrance.waiter.signal()
    }
    if case .listener(let name) = door { turnOut(name, former) }
  }

  /// Ends a listener's connections, each with the request that is under way; a tunnel would last
  /// for days, and has as long as at the process's end.
  private func turnOut(_ name: String, _ former: Engine?) {
    let graceMs = former?.shared.configuration.shutdown.graceMs ?? 0
    for guest in guests.values where guest.listener == name && guest.engine == nil {
      guest.engine = former
      guest.connection.drain()
      guest.connection.endTunnel(byMs: min(tunnelsEndMs, loop.nowMs + graceMs))
    }
  }

  // The standing tasks of one configuration. By the time that one of them begins another may run.

  private func engine(of shared: SharedState) -> Engine? {
    engine?.shared === shared ? engine : nil
  }

  private func keepPool(_ index: Int, of shared: SharedState) async {
    await engine(of: shared)?.pools[index].keepIdle()
  }

  private func keepChecking(_ index: Int, of shared: SharedState) async {
    await engine(of: shared)?.checkers[index].run()
  }

  private func flushLog(of shared: SharedState) async {
    await engine(of: shared)?.log?.flushRegularly()
  }

  private func keepTracing(of shared: SharedState) async {
    await engine(of: shared)?.tracer?.run()
  }

  private func keepKeys(_ issuer: Int, of shared: SharedState) async {
    await engine(of: shared)?.keyKeeper.keep(issuer)
  }

  private func keepSharedCache(of shared: SharedState) async {
    await engine(of: shared)?.sharedCache?.run()
  }

  private func keepSharedLocks(of shared: SharedState) async {
    await engine(of: shared)?.sharedCache?.keepLocks()
  }

  private func trimBuffers() async {
    let waiter = Waiter(on: loop)
    while true {
      _ = await waiter.wait(untilMs: loop.nowMs + Limits.trimEveryMs)
      engine?.buffers.trim()
      engine?.clients.sweep()
      if index == 0 { engine?.shared.tokens.removeEnded() }
    }
  }

  private func sampleTraffic() async {
    let waiter = Waiter(on: loop)
    while true {
      process.history.take(process.requests.totals, atMs: Clock.wallMs())
      _ = await waiter.wait(untilMs: loop.nowMs + TrafficHistory.everyMs)
    }
  }

  /// Runs an exchange that belongs to none of the callers who wait for it.
  func perform(_ flight: ExchangeFlight) async { await engine?.exchanges.perform(flight) }

  // Connections.

  private func accept(at bound: ListeningSocket.Bound, _ door: Door) async {
    // Probes are answered until the end, and with the last descriptors.
    let isForCallers = if case .listener = door { true } else { false }
    let socket: ListeningSocket
    do throws(SystemError) {
      socket = try ListeningSocket(adopting: bound, on: loop, isForCallers: isForCallers)
    } catch {
      process.report(.error("listen \(bound.address): \(error)"))
      return
    }
    let waiter = Waiter(on: loop)
    socket.waiter = waiter
    let entrance = Entrance(waiter)
    entrances[door, default: []].append(entrance)
    var hasReported = false
    var acceptedInTurn = 0
    var failedInRow = 0
    while true {
      let isClosing = isDraining && isForCallers || entrance.isClosed
      switch socket.accept(on: loop) {
      case .connection(let connection, let peer):
        hasReported = false
        failedInRow = 0
        acceptedInTurn += 1
        connectionSerial += 1
        admit(connection, peer, door, serial: connectionSerial)
        let isBehind = isForCallers && overload.isBehind
        if acceptedInTurn >= (isBehind ? Limits.acceptsPerTurnBehind : Limits.acceptsPerTurn) {
          acceptedInTurn = 0
          await waiter.pause()
        }
        continue
      case .none:
        // What was queued is served before the socket closes.
        if isClosing { return }
        acceptedInTurn = 0
        _ = await waiter.wait()
        continue
      case .skipped(let error):
        // One caller's trouble; but what forbids every one of them (EPERM) would never end.
        failedInRow += 1
        if failedInRow < Limits.acceptsPerTurn { continue }
        if !hasReported { process.reportShortage(error, nowMs: loop.nowMs) }
      case .exhausted(let error):
        if !hasReported { process.reportShortage(error, nowMs: loop.nowMs) }
      }
      hasReported = true
      failedInRow = 0
      if isClosing { return }
      let untilMs = loop.nowMs + Limits.acceptPauseMs
      while loop.nowMs < untilMs { _ = await waiter.wait(untilMs: untilMs) }
    }
  }

  private func admit(_ socket: Socket, _ peer: SocketAddress?, _ door: Door, serial: UInt64) {
    switch door {
    case .admin: loop.spawn { await self.serveAdmin(socket, isProbe: false) }
    case .probes: loop.spawn { await self.serveAdmin(socket, isProbe: true) }
    case .listener(let name):
      guard let engine, let listener = engine.listeners[name] else { return }
      let isWelcome = engine.shared.takeConnection() || makeRoom()
      if !pressure.isHigh, areConnectionsMany(engine) { loop.spawn { await self.relieve() } }
      loop.spawn {
        if isWelcome {
          let isGuest = await self.welcome(
            socket, ConnectionSource(peer: peer), name, listener, engine, serial: serial)
          // Not from within: what that one holds would be held for as long.
          if isGuest { await self.serve(serial) }
        } else {
          await self.shed(socket, ConnectionSource(peer: peer), listener, engine)
        }
      }
    }
  }

  /// Ends the connection whose handshake is not done for longest, or that has idled longest, where
  /// that is long, in favour of a new one.
  private func makeRoom() -> Bool {
    let longestMs = loop.nowMs - Limits.giveWayAfterMs
    if newcomers.giveUpOldest(since: longestMs) {
      process.takeConnectionGivenUp()
      return true
    }
    guard
      let serial = idlers.takeFirst(
        since: longestMs, isStillIdle: { guests[$0]?.idleSinceMs == $1 })
    else { return false }
    process.takeConnectionGivenUp()
    guests[serial]?.connection.drain()
    return true
  }

  private func areConnectionsMany(_ engine: Engine) -> Bool {
    pressure.look(
      count: process.connectionCount,
      limit: engine.shared.configuration.limits.connectionsMax)
  }

  /// Ends connections before there are none left, until there are enough again.
  private func relieve() async {
    let waiter = Waiter(on: loop)
    while let engine, areConnectionsMany(engine) {
      let limits = engine.shared.configuration.limits
      let longestMs = loop.nowMs - max(limits.idleTimeoutMs / 4, Limits.giveWayAfterMs)
      for _ in 0..<Limits.reliefIdlersMax {
        guard
          let serial = idlers.takeFirst(
            since: longestMs, isStillIdle: { guests[$0]?.idleSinceMs == $1 })
        else { break }
        guests[serial]?.connection.drain()
      }
      closesWanted = min(Limits.reliefClosesMax, max(1, limits.connectionsMax / 100))
      _ = await waiter.wait(untilMs: loop.nowMs + Limits.reliefEveryMs)
    }
    closesWanted = 0
  }

  /// Makes a new connection a guest.
  ///
  /// - Returns: whether it is one, and is to be served.
  private func welcome(
    _ socket: Socket, _ source: ConnectionSource, _ name: String, _ listener: Listener,
    _ engine: Engine, serial: UInt64
  ) async -> Bool {
    let waiter = Waiter(on: loop)
    socket.waiter = waiter
    var source = source
    if listener.takesProxyHeader {
      let untilMs = loop.nowMs + engine.connectionLimits.headerTimeoutMs
      guard
        let told = await announced(socket, source, listener, engine, waiter, untilMs: untilMs)
      else {
        process.giveConnection()
        return false
      }
      source = told
    }
    var newcomer: Newcomers.Newcomer?
    if listener.tls != nil { newcomer = newcomers.enter(serial, waiter, nowMs: loop.nowMs) }
    let stream = await secured(
      socket, listener, waiter, newcomer, untilMs: loop.nowMs + listener.handshakeTimeoutMs)
    if newcomer != nil { newcomers.leave(serial) }
    guard let stream else {
      process.giveConnection()
      return false
    }
    let connection = ServerConnection(
      stream, waiter: waiter, buffers: engine.buffers,
      limits: (self.engine ?? engine).connectionLimits, idling: idling)
    let guest = Guest(connection: connection, listener: name, source: source)
    if isDraining { drain(connection) }
    let isAdmitted = self.engine?.listeners[name]?.admitsAlike(listener) ?? true
    if isLeaving {
      connection.closesAfterAnswer = true
    } else if entrances[.listener(name)] == nil || !isAdmitted {
      // The listener was taken away during the handshake, or asks for something else now.
      guest.engine = engine
      connection.drain()
    }
    guests[serial] = guest
    return true
  }

  /// Serves a connection's requests, one after the other, until it ends, or until it idles; then it
  /// waits without a task. Each request has the configuration that runs when its head has come.
  private func serve(_ serial: UInt64) async {
    guard let guest = guests[serial] else { return }
    let connection = guest.connection
    guest.idleSinceMs = nil
    var request: Request?
    /// Whether it is served by what it came for, though another configuration runs. Only a reload
    /// changes that, so no request looks its guest up to know.
    var isPinned = false
    var adoptionsSeen = adoptions
    var share = TurnShare(turn: loop.turn)
    serving: while true {
      // A caller that sends ahead and reads as fast would have the worker for itself.
      if share.isUsed(inTurn: loop.turn, isTight: overload.isTight) {
        await connection.waiter.pause()
      }
      let arrival = await connection.nextRequest()
      switch arrival {
      case .finished:
        connection.finish()
        break serving
      case .parked:
        guest.idleSinceMs = loop.nowMs
        idlers.append(serial, sinceMs: loop.nowMs) { guests[$0]?.idleSinceMs == $1 }
        connection.park { self.loop.spawn { await self.serve(serial) } }
        return
      case .request, .faulty, .tooSlow: break
      }
      if closesWanted > 0, request != nil {
        closesWanted -= 1
        connection.closesAfterAnswer = true
      }
      if request == nil || adoptionsSeen != adoptions {
        adoptionsSeen = adoptions
        guard let server = guest.engine ?? engine, let listener = server.listeners[guest.listener]
        else { break serving }
        isPinned = guest.engine != nil
        request = Request(
          connection, listener: listener, peer: server.peer(guest.source, at: listener))
      }
      guard let request, let server = isPinned ? guest.engine : engine else { break serving }
      await server.serve(arrival, request)
      share.take(authNs: request.record.authNs)
      if connection.isAborted { break serving }
      if connection.closesAfterAnswer {
        await connection.close()
        break serving
      }
    }
    guests[serial] = nil
    process.giveConnection()
    if guests.isEmpty { onDrained?() }
  }

  /// Where a connection comes from, by what the proxy in front says; nil where it must close.
  private func announced(
    _ socket: Socket, _ source: ConnectionSource, _ listener: Listener, _ engine: Engine,
    _ waiter: Waiter, untilMs: Int64
  ) async -> ConnectionSource? {
    let name = ObjectIdentifier(waiter)
    silent[name] = waiter
    defer { silent[name] = nil }
    let announcement = ProxyAnnouncement(socket: socket, waiter: waiter, buffers: engine.buffers)
    let peer = engine.peer(source, at: listener)
    do throws(ProxyAnnouncement.Failure) {
      return try await announcement.read(
        after: source, from: peer, untilMs: untilMs, isEnding: { isDraining })
    } catch {
      if let text = error.text {
        process.reportStrangers(
          "a connection of \(String(decoding: peer.address, as: UTF8.self)) to "
            + "\(listener.name) is closed: \(text)", nowMs: loop.nowMs)
      }
      return nil
    }
  }

  private func secured(
    _ socket: Socket, _ listener: Listener, _ waiter: Waiter,
    _ newcomer: Newcomers.Newcomer? = nil, untilMs: Int64
  ) async -> ByteStream? {
    guard let context = listener.tls else { return ByteStream(socket) }
    // Who says nothing costs no session and takes nobody's place.
    if socket.isQuiet() {
      let name = ObjectIdentifier(waiter)
      silent[name] = waiter
      defer { silent[name] = nil }
      while socket.isQuiet() {
        let isSignalled = await waiter.wait(untilMs: untilMs)
        if !isSignalled || newcomer?.isGivenUp == true { handshakeTally.count(.timedOut) }
        if !isSignalled || isDraining || newcomer?.isGivenUp == true { return nil }
      }
    }
    let beganNs = Clock.monotonicNs()
    let place = HandshakePlaces.Place(waiter)
    newcomer?.place = place
    guard await handshakes.enter(place, untilMs: untilMs) else {
      handshakeTally.count(.timedOut)
      return nil
    }
    defer { handshakes.leave(place) }
    guard let session = TLSSession(server: context, over: socket) else { return nil }
    while true {
      guard await handshakes.awaitTurn(place) else {
        handshakeTally.count(.timedOut)
        return nil
      }
      let steppedNs = Clock.monotonicNs()
      let step = session.handshake()
      handshakes.noteStep(ns: Clock.monotonicNs() - steppedNs)
      switch step {
      case .done:
        handshakeTally.count(session, ns: Clock.monotonicNs() - beganNs)
        return ByteStream(socket, tls: session)
      case .failed:
        handshakes.leave(place)
        handshakeTally.count(session.sawClearText ? .clearText : .failed)
        if session.sawClearText { await tellOfTLS(socket, waiter) }
        return nil
      case .wouldBlock:
        let isSignalled = await waiter.wait(untilMs: untilMs)
        if !isSignalled || place.isLost || place.isGivenUp {
          handshakeTally.count(.timedOut)
          return nil
        }
      }
    }
  }

  /// One connection too many: told so, where that is not too much itself, and in any case logged.
  private func shed(
    _ socket: Socket, _ source: ConnectionSource, _ listener: Listener, _ engine: Engine
  ) async {
    let waiter = Waiter(on: loop)
    socket.waiter = waiter
    let isTold = sheds.take(handshake: listener.tls != nil, nowMs: loop.nowMs)
    defer { if isTold { sheds.give() } }
    let untilMs = loop.nowMs + min(listener.handshakeTimeoutMs, Limits.shedHandshakeMs)
    var source = source
    if listener.takesProxyHeader, isTold {
      guard
        let told = await announced(socket, source, listener, engine, waiter, untilMs: untilMs)
      else { return }
      source = told
    }
    let stream = isTold ? await secured(socket, listener, waiter, untilMs: untilMs) : nil
    let connection = ServerConnection(
      stream ?? ByteStream(socket), waiter: waiter, buffers: engine.buffers,
      limits: engine.connectionLimits)
    await engine.shed(
      connection, from: listener, peer: engine.peer(source, at: listener), isTold: stream != nil)
  }

  private func serveAdmin(_ socket: Socket, isProbe: Bool) async {
    guard let engine else { return }
    let waiter = Waiter(on: loop)
    socket.waiter = waiter
    let connection = ServerConnection(
      ByteStream(socket), waiter: waiter, buffers: engine.buffers, limits: Admin.limits)
    await connection.serveSmall(contentBytesMax: Admin.contentBytesMax) { request in
      // Of the configuration that runs now, not of the one that the connection came by.
      guard let engine = self.engine else { return SmallAnswer(503) }
      if isLeaving { connection.closesAfterAnswer = true }
      return await Admin(engine.shared, isProbe: isProbe).answer(request, on: loop)
    }
  }

  /// Somebody speaks HTTP in the clear where TLS is spoken.
  private func tellOfTLS(_ socket: Socket, _ waiter: Waiter) async {
    guard let engine else { return }
    let answer = Buffer(capacity: 256)
    answer.append(Self.clearTextAnswer)
    _ = socket.write(from: answer)
    let connection = ServerConnection(
      ByteStream(socket), waiter: waiter, buffers: engine.buffers,
      limits: engine.connectionLimits)
    await connection.close()
  }

  private static let clearTextAnswer: StaticString = """
    HTTP/1.1 400 Bad Request\r
    Content-Type: text/plain; charset=utf-8\r
    Content-Length: 29\r
    Connection: close\r
    \r
    This port speaks HTTPS only.

    """

  // The end.

  /// Stops accepting, ends idle connections, lets requests finish; then calls `whenDone`, once or
  /// more.
  func drain(whenDone: @escaping @Sendable () -> Void) {
    isDraining = true
    onDrained = whenDone
    // Before the process ends: their callers are told, and their lines are written.
    if let graceMs = engine?.shared.configuration.shutdown.graceMs {
      tunnelsEndMs = loop.nowMs + graceMs - min(Limits.tunnelFarewellMs, graceMs / 4)
    }
    for entrance in entrances.values.joined() { entrance.waiter.signal() }
    for waiter in silent.values { waiter.signal() }
    for guest in guests.values { drain(guest.connection) }
    if guests.isEmpty { whenDone() }
  }

  /// Another process accepts at all doors but these from now on: what has been accepted here is
  /// served, and callers are told with their next answer to come anew.
  func rest(but left: Set<Door>) {
    isLeaving = true
    for (door, entered) in entrances where !left.contains(door) {
      for entrance in entered {
        entrance.isClosed = true
        entrance.waiter.signal()
      }
      entrances[door] = nil
    }
    for guest in guests.values { guest.connection.closesAfterAnswer = true }
  }

  /// The other process is gone. Callers who were told to come anew do.
  func stopResting() { isLeaving = false }

  private func drain(_ connection: ServerConnection) {
    connection.drain()
    connection.endTunnel(byMs: tunnelsEndMs)
  }

  /// Hands over the log lines and spans that are left.
  func finish() async {
    engine?.log?.flush()
    await engine?.tracer?.finish(withinMs: Limits.traceEndMs)
  }
}
