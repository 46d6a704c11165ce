import Reactor
import TestSupport
import Synchronization
import Testing
import Wire

@testable import HTTP

/// A pool with a scripted server at its other end.
struct PoolSetting {
  let pool: UpstreamPool
  let count: ConnectionCount
  let waiter: Waiter

  init(
    _ stage: isolated Stage, to address: SocketAddress, max: Int = 8, queue: Int = 8,
    idleMs: Int64 = Stage.patienceMs, idleMax: Int = 4, connectMs: Int64 = Stage.patienceMs,
    count shared: ConnectionCount? = nil
  ) {
    count = shared ?? ConnectionCount(max: max, queue: queue)
    pool = UpstreamPool(
      Origin(host: address.host, port: address.port, isEncrypted: false),
      settings: .init(
        connectTimeoutMs: connectMs, idleTimeoutMs: idleMs, idleMax: idleMax,
        resolveEveryMs: 1_000, headBytesMax: 4_096),
      tls: nil, resolver: Resolver(), buffers: BufferPool(), count: count, loop: stage.loop)
    waiter = stage.makeWaiter()
  }

  func call(
    _ stage: isolated Stage,
    _ call: Call = Call(.get, target: "/", authority: "x", answerBytesMax: 1_000)
  ) async throws -> CallAnswer {
    try await pool.call(call, waiter: waiter, untilMs: stage.patience)
  }
}

private func answer(_ content: String, _ fields: String = "") -> String {
  "HTTP/1.1 200 OK\r\nContent-Length: \(content.utf8.count)\r\n\(fields)\r\n\(content)"
}

extension PoolSetting {
  /// Makes a call whose answer's content must be this.
  func expect(
    _ content: String, _ stage: isolated Stage,
    sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) async throws {
    let answer = try await call(stage)
    #expect(answer.content.text == content, sourceLocation: sourceLocation)
  }
}

struct UpstreamPoolTests {
  @Test func `uses an idle connection again`() async throws {
    let server = try ScriptedServer([
      { peer in
        for text in ["one", "two", "three"] {
          _ = try peer.receive(through: "\r\n\r\n")
          try peer.send(answer(text))
        }
      }
    ])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address)
      for text in ["one", "two", "three"] {
        try await setting.expect(text, stage)
      }
      setting.pool.close()
    }
    #expect(server.connectionCount == 1)
    try server.finish()
  }

  @Test func `replaces an idle connection that the server closed`() async throws {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send(answer("one"))
      },
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send(answer("two"))
      },
    ])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address)
      try await setting.expect("one", stage)
      try await setting.expect("two", stage)
      setting.pool.close()
    }
    try server.finish()
  }

  @Test
  func `a server that hangs up on the request itself is asked once more, on a new connection`()
    async throws
  {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send(answer("one"))
        // It closes when the next request is there: nobody could have seen it coming.
        _ = try peer.receive(through: "\r\n\r\n")
      },
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send(answer("two"))
        _ = try peer.receive()
      },
    ])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address)
      try await setting.expect("one", stage)
      try await setting.expect("two", stage)
      setting.pool.close()
    }
    try server.finish()
  }

  @Test func `never uses a connection again on which bytes came that nobody asked for`()
    async throws
  {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send(answer("one") + answer("forged"))
        #expect(try peer.receive().isEmpty)
      },
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send(answer("two"))
        _ = try peer.receive()
      },
    ])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address)
      try await setting.expect("one", stage)
      try await setting.expect("two", stage)
      setting.pool.close()
    }
    try server.finish()
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none", false),
    ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nx-t: 1\r\n\r\n", true),
    (
      "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
      true
    ),
    (
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\none",
      true
    ),
  ])
  func `keeps a connection only where the answer allows it`(
    _ text: String, _ isKept: Bool
  ) async throws {
    // The answer comes a byte at a time.
    let play: ScriptedServer.Script = { peer in
      for _ in 0..<2 {
        guard try !peer.receive(atMost: 1).isEmpty else { return }
        _ = try peer.receive(through: "\r\n\r\n")
        for byte in text.utf8 { try peer.send([byte]) }
      }
    }
    let server = try ScriptedServer([play, play])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address)
      for _ in 0..<2 { try await setting.expect("one", stage) }
      setting.pool.close()
    }
    #expect(server.connectionCount == (isKept ? 1 : 2))
    try server.finish()
  }

  @Test func `takes content that ends with the connection, but not what is cut short`() async throws
  {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nuntil the end")
      },
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut")
      },
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncut\r\n")
      },
    ])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address)
      let whole = try await setting.call(stage)
      #expect(whole.content.text == "until the end")
      #expect(whole.contentType.text == "a/b")
      for _ in 0..<2 {
        await #expect { try await setting.call(stage) } throws: { fault in
          if case CallFault.broken = fault { true } else { false }
        }
      }
    }
    try server.finish()
  }

  @Test func `takes no more content than it was asked to`() async throws {
    let play: @Sendable (String) -> ScriptedServer.Script = { head in
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try? peer.send("HTTP/1.1 200 OK\r\n\(head)\r\n")
        for _ in 0..<100 { try? peer.send("64\r\n" + String(repeating: "x", count: 100) + "\r\n") }
      }
    }
    let server = try ScriptedServer([
      play("Content-Length: 1001\r\n"), play("Transfer-Encoding: chunked\r\n"), play(""),
    ])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address)
      for _ in 0..<3 {
        await #expect { try await setting.call(stage) } throws: { fault in
          if case CallFault.tooLarge = fault { true } else { false }
        }
      }
    }
    try server.finish()
  }

  @Test(arguments: [
    "nonsense\r\n\r\n", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 200 OK\r\nf: " + String(repeating: "v", count: 5_000) + "\r\n\r\n", "HTTP/1.1 20",
    String(repeating: "HTTP/1.1 103 Hints\r\n\r\n", count: 40),
  ])
  func `what is no answer is a broken connection`(_ text: String) async throws {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try? peer.send(text)
      }
    ])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address, max: 1)
      await #expect { try await setting.call(stage) } throws: { fault in
        if case CallFault.broken = fault { true } else { false }
      }
      // Its place is free again.
      #expect(await setting.count.enter(setting.waiter, untilMs: stage.loop.nowMs) == .taken)
    }
    try server.finish()
  }

  @Test func `gives up a server that does not answer, and its place comes free`() async throws {
    let server = try ScriptedServer([{ peer in _ = try peer.receiveToEnd() }])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address, max: 1)
      await #expect {
        try await setting.pool.call(
          Call(.get, target: "/", authority: "x", answerBytesMax: 10), waiter: setting.waiter,
          untilMs: stage.loop.nowMs + 30)
      } throws: { fault in
        if case CallFault.timedOut = fault { true } else { false }
      }
      #expect(await setting.count.enter(setting.waiter, untilMs: stage.loop.nowMs) == .taken)
    }
    try server.finish()
  }

  @Test func `says why nobody is there, and the place comes free`() async throws {
    let dead = try DeadPort()
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: dead.address, max: 1)
      await #expect { try await setting.call(stage) } throws: { fault in
        guard case CallFault.unconnected(.unreachable(let text, _)) = fault else { return false }
        return text == "127.0.0.1:\(dead.address.port): connection refused (ECONNREFUSED)"
      }
      #expect(await setting.count.enter(setting.waiter, untilMs: stage.loop.nowMs) == .taken)
    }
  }

  @Test func `an idle connection ends after its time, also the first one`() async throws {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send(answer("one"))
        // This server never closes.
        #expect(try peer.receive().isEmpty)
      }
    ])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address, max: 1, idleMs: 30)
      let keeper = setting.pool
      // The keeper waits before anything idles.
      stage.loop.spawn {
        _ = stage
        await keeper.keepIdle()
      }
      await stage.turn()
      try await setting.expect("one", stage)
      // Its place is taken while it idles and comes free when it ends.
      #expect(await setting.count.enter(setting.waiter, untilMs: stage.patience) == .taken)
      #expect(setting.pool.takeIdle(for: setting.waiter) == nil)
      setting.pool.close()
    }
    try server.finish()
  }

  @Test func `an idle connection that its server ends is closed at once`() async throws {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send(answer("one"))
      }
    ])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address, max: 1)
      let keeper = setting.pool
      stage.loop.spawn {
        _ = stage
        await keeper.keepIdle()
      }
      try await setting.expect("one", stage)
      #expect(await setting.count.enter(setting.waiter, untilMs: stage.patience) == .taken)
      setting.pool.close()
    }
    try server.finish()
  }

  @Test func `keeps so many idle connections and no more`() async throws {
    let play: ScriptedServer.Script = { peer in _ = try peer.receiveToEnd() }
    let server = try ScriptedServer([play, play, play])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address, idleMax: 2)
      var connections: [UpstreamConnection] = []
      for _ in 0..<3 {
        connections.append(
          try await setting.pool.connect(for: setting.waiter, untilMs: stage.patience))
      }
      for connection in connections { setting.pool.giveBack(connection) }
      // The one that came last goes first.
      #expect(setting.pool.takeIdle(for: setting.waiter) === connections[1])
      #expect(setting.pool.takeIdle(for: setting.waiter) === connections[0])
      #expect(setting.pool.takeIdle(for: setting.waiter) == nil)
      setting.pool.close()
    }
    try server.finish()
  }

  @Test func `a connection given back goes to who waits for one, not to the idle`() async throws {
    let play: ScriptedServer.Script = { peer in _ = try peer.receiveToEnd() }
    let server = try ScriptedServer([play, play])
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: server.address, max: 1, queue: 1)
      let first = try await setting.pool.connect(for: setting.waiter, untilMs: stage.patience)
      let pool = setting.pool
      let patience = stage.patience
      // Runs while the one below waits: gives the only connection back.
      let helper = stage.makeWaiter()
      helper.signal()
      stage.loop.spawn {
        _ = stage
        _ = await helper.wait()
        // The queue is full.
        do throws(ConnectFault) {
          _ = try await pool.connect(for: helper, untilMs: patience)
          Issue.record("one too many")
        } catch {
          if case .exhausted = error {} else { Issue.record("\(error)") }
        }
        pool.giveBack(first)
      }
      let second = try await pool.connect(for: setting.waiter, untilMs: patience)
      #expect(second !== first)
      pool.drop(second)
    }
    for _ in 0..<2 { server.waitForConnection() }
    #expect(server.connectionCount == 2)
    try server.finish()
  }

  @Test func `an idle connection of one worker gives way to who waits at another`() async throws {
    let play: ScriptedServer.Script = { peer in _ = try peer.receiveToEnd() }
    let server = try ScriptedServer([play, play])
    let count = ConnectionCount(max: 1, queue: 4)
    let address = server.address
    try await Stage.run { stage in
      let setting = PoolSetting(stage, to: address, count: count)
      let keeper = setting.pool
      stage.loop.spawn {
        _ = stage
        await keeper.keepIdle()
      }
      setting.pool.giveBack(
        try await setting.pool.connect(for: setting.waiter, untilMs: stage.patience))
      // Another worker, on a thread of its own, needs it.
      let remote = setting.waiter.remote
      let hasTaken = Flag()
      let loop = try EventLoop()
      let other = try WorkerThread.start("other") { loop.run() }
      loop.spawn { @Sendable in
        #expect(
          await count.enter(Waiter(on: loop), untilMs: loop.nowMs + Stage.patienceMs) == .taken)
        hasTaken.raise()
        remote.signal()
        loop.stop()
      }
      // A wake may be an earlier connection's event; only the other's word counts.
      let untilMs = stage.patience
      while !hasTaken.isRaised, await setting.waiter.wait(untilMs: untilMs) {}
      #expect(hasTaken.isRaised)
      other.join()
      #expect(setting.pool.takeIdle(for: setting.waiter) == nil)
      setting.pool.close()
    }
    try server.finish()
  }
}

struct UpstreamConnectionTests {
  private func make(_ socket: Socket, headMax: Int = 4_096) -> UpstreamConnection {
    UpstreamConnection(ByteStream(socket), buffers: BufferPool(), headBytesMax: headMax)
  }

  private func receive(
    _ connection: UpstreamConnection, _ stage: isolated Stage, answering method: Wire.Method = .get
  ) async throws -> UpstreamConnection.HeadProgress {
    let waiter = stage.makeWaiter()
    connection.stream.waiter = waiter
    while true {
      let progress = connection.receiveHead(answering: method)
      guard case .wouldBlock = progress else { return progress }
      guard await waiter.wait(untilMs: stage.patience) else { throw Impatience("a head") }
    }
  }

  @Test func `reads heads that come in any pieces, interim ones first`() async throws {
    let text = "HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    try await Stage.run { stage in
      for cut in 1..<text.utf8.count {
        let (socket, peer) = try FarEnd.pair(on: stage.loop)
        let connection = make(socket)
        let bytes = Array(text.utf8)
        try peer.send(Array(bytes[..<cut]))
        let rest = Array(bytes[cut...])
        let thread = try WorkerThread.start("rest") { try? peer.send(rest) }
        for status in [103, 200] as [UInt16] {
          guard case .complete = try await receive(connection, stage) else {
            Issue.record("no head, cut after \(cut)")
            break
          }
          #expect(connection.head.status == status)
          #expect(connection.hasAnswerBytes)
          connection.consumeHead()
        }
        #expect(connection.head.framing == .length(2))
        thread.join()
        while connection.received.count < 2 {
          if connection.read() == .wouldBlock {
            let waiter = try #require(connection.stream.waiter)
            #expect(await waiter.wait(untilMs: stage.patience))
          }
        }
        #expect(connection.received.bytes.text == "hi")
        #expect(connection.finishAnswer(contentEnd: 2))
        #expect((connection.isReused, connection.received.capacity) == (true, 0))
      }
    }
  }

  @Test func `tells an end before any byte from one behind some`() async throws {
    try await Stage.run { stage in
      for text in ["", "HTTP/1.1 200"] {
        let (socket, peer) = try FarEnd.pair(on: stage.loop)
        let connection = make(socket)
        try peer.send(text)
        peer.endSending()
        guard case .ended(let hadBytes) = try await receive(connection, stage) else {
          Issue.record("no end")
          continue
        }
        #expect(hadBytes == !text.isEmpty)
      }
    }
  }

  @Test func `what is left over forbids another request`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = make(socket)
      try peer.send("HTTP/1.1 204 No Content\r\n\r\nmore")
      guard case .complete = try await receive(connection, stage) else { throw Impatience("head") }
      connection.consumeHead()
      #expect(!connection.finishAnswer())
      connection.discard()
      #expect(connection.received.capacity == 0)
    }
  }

  @Test func `notes whether a byte was written`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = make(socket)
      connection.requestBuffer().append("GET")
      #expect(!connection.hasWritten)
      #expect(connection.flush() == .bytes(3))
      #expect(connection.hasWritten)
      #expect(connection.outbound.capacity == 0)
      #expect(try peer.receive().text == "GET")
      peer.end()
      connection.requestBuffer().append("GET")
      guard case .failed(.system) = connection.flush() else {
        Issue.record("written to nobody")
        return
      }
    }
  }
}

/// A flag that threads share.
private final class Flag: Sendable {
  private let state = Mutex(false)

  var isRaised: Bool { state.withLock { $0 } }

  func raise() { state.withLock { $0 = true } }
}
