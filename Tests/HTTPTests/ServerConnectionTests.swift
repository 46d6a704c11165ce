import Crypto
import Reactor
import TestSupport
import Testing
import Wire

@testable import HTTP

extension ServerConnection.Limits {
  static func test(
    line: Int = 8 << 10, head: Int = 32 << 10, headerMs: Int64 = Stage.patienceMs,
    idleMs: Int64 = Stage.patienceMs
  ) -> ServerConnection.Limits {
    ServerConnection.Limits(
      head: RequestHeadLimits(requestLineBytesMax: line, headBytesMax: head, fieldCountMax: 100),
      headerTimeoutMs: headerMs, idleTimeoutMs: idleMs)
  }
}

/// What arrived, in a form that can be compared.
enum Arrived: Equatable {
  case request(String)
  case faulty(RequestFault)
  case tooSlow, finished
}

extension ServerConnection {
  static func make(
    _ socket: Socket, _ stage: isolated Stage, limits: Limits = .test(),
    buffers: BufferPool = BufferPool()
  ) -> ServerConnection {
    ServerConnection(
      ByteStream(socket), waiter: stage.makeWaiter(), buffers: buffers, limits: limits)
  }

  /// The next arrival; a request's target stands for it.
  func next() async -> Arrived {
    switch await nextRequest() {
    case .parked:
      // As the worker does, but with this task.
      await withCheckedContinuation { continuation in park { continuation.resume() } }
      return await next()
    case .request:
      let received = received
      content = BodyFlow(head.framing, as: .length, pinned: head.byteCount)
      return .request([UInt8](copying: received.slice(head.target)).text)
    case .faulty(let fault): return .faulty(fault)
    case .tooSlow: return .tooSlow
    case .finished: return .finished
    }
  }

  /// The content of the present request.
  func takeWhole() async throws -> [UInt8] {
    let target = Buffer(capacity: 1_024)
    var bytes: [UInt8] = []
    while true {
      let progress = try content.move(from: received, to: target)
      bytes += target.bytes
      target.removeAll()
      switch progress {
      case .done: return bytes
      case .needsRoom: continue
      case .needsSource: break
      }
      switch readContent() {
      case .bytes: continue
      case .wouldBlock:
        let untilMs = waiter.loop.nowMs + Stage.patienceMs
        guard await waiter.wait(untilMs: untilMs) else { throw Impatience("content") }
      case .ended, .failed: throw Impatience("the end instead of content")
      }
    }
  }
}

struct ServerConnectionTests {
  private let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

  @Test func `takes requests sent one behind the other in one piece`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      try peer.send(
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
          + "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
          + "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
          + "GET /d HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(await connection.next() == .request("/a"))
      #expect(await connection.next() == .request("/b"))
      #expect(try await connection.takeWhole().text == "hello")
      #expect(await connection.next() == .request("/c"))
      #expect(try await connection.takeWhole().text == "abc")
      #expect(await connection.next() == .request("/d"))
      peer.endSending()
      #expect(await connection.next() == .finished)
    }
  }

  @Test func `takes a head that comes a byte at a time`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      let thread = try WorkerThread.start("sender") {
        for _ in 0..<2 {
          for byte in "\r\nGET /slow HTTP/1.1\r\nHost: x\r\n\r\n".utf8 { try? peer.send([byte]) }
        }
      }
      #expect(await connection.next() == .request("/slow"))
      #expect(await connection.next() == .request("/slow"))
      thread.join()
    }
  }

  /// A request whose line and fields have exactly these sizes.
  private static func request(line: Int, fields: Int, content: String = "") -> String {
    let target = "/" + String(repeating: "a", count: line - "POST / HTTP/1.1".count)
    var text = "POST \(target) HTTP/1.1\r\n"
    let host = "Host: x\r\nContent-Length: \(content.utf8.count)\r\n"
    var left = fields - host.utf8.count - 2
    var lines = ""
    while left > 0 {
      let size = left > 2_000 ? 1_000 : left
      lines += "f: " + String(repeating: "v", count: size - 5) + "\r\n"
      left -= size
    }
    text += host + lines + "\r\n"
    return text + content
  }

  @Test(arguments: [(8 << 10, 32 << 10), (100, 200), (8 << 10, 1 << 10), (100, 64 << 10)])
  func `takes a head as large as the limits and none larger`(_ line: Int, _ head: Int) async throws
  {
    try await Stage.run { stage in
      for pipelined in [false, true] {
        for (extraLine, extraHead) in [(0, 0), (1, 0), (0, 1)] {
          let (socket, peer) = try FarEnd.pair(on: stage.loop)
          let connection = ServerConnection.make(
            socket, stage, limits: .test(line: line, head: head))
          let before = pipelined ? "GET /first HTTP/1.1\r\nHost: x\r\n\r\n" : ""
          let request = Self.request(
            line: line + extraLine, fields: head + extraHead, content: "hi")
          let thread = try WorkerThread.start("sender") {
            try? peer.send(before + "\r\n" + request)
          }
          if pipelined { #expect(await connection.next() == .request("/first")) }
          let arrived = await connection.next()
          switch (extraLine, extraHead) {
          case (1, _): #expect(arrived == .faulty(.requestLineTooLong))
          case (_, 1): #expect(arrived == .faulty(.headersTooLarge))
          default:
            guard case .request = arrived else {
              Issue.record("\(arrived)")
              break
            }
            #expect(try await connection.takeWhole().text == "hi")
          }
          peer.end()
          thread.join()
        }
      }
    }
  }

  @Test func `reads content behind a head of any size`() async throws {
    try await Stage.run { stage in
      let size = BufferPool.bufferBytes
      let content = String(repeating: "content ", count: 2_000)
      for total in [size - 4_097, size - 1, size, size + 1, 40_000, 40_962] {
        let (socket, peer) = try FarEnd.pair(on: stage.loop)
        let connection = ServerConnection.make(socket, stage)
        let text = Self.request(line: 8_192, fields: total - 8_194, content: content)
        let split = text.utf8.count - content.utf8.count
        #expect(split == total)
        let bytes = Array(text.utf8)
        try peer.send(Array(bytes[..<split]))
        guard case .request = await connection.next() else {
          Issue.record("a head of \(total) bytes")
          continue
        }
        let thread = try WorkerThread.start("sender") { try? peer.send(Array(bytes[split...])) }
        #expect(try await connection.takeWhole().text == content, "behind a head of \(total) bytes")
        peer.end()
        thread.join()
      }
    }
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\nHost: x\r\n bad\r\n\r\n", "obs-fold"),
    ("GET / HTTP/1.1\r\n\r\n", "no host"), ("\u{16}\u{03}\u{01}\r\n\r\n", "TLS"),
  ])
  func `says what can't be served`(_ text: String, _ note: String) async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      try peer.send(text)
      guard case .faulty(.malformed) = await connection.next() else {
        Issue.record("\(note)")
        return
      }
    }
  }

  @Test func `a connection that says nothing ends`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage, limits: .test(headerMs: 20))
      #expect(await connection.next() == .finished)
      connection.finish()
      #expect(try peer.receive().isEmpty)
    }
  }

  @Test func `a connection that idles after a request ends after the idle time`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage, limits: .test(idleMs: 20))
      try peer.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(await connection.next() == .request("/a"))
      let beganMs = stage.loop.nowMs
      #expect(await connection.next() == .finished)
      #expect(stage.loop.nowMs >= beganMs + 20)
      // It holds no buffer while it idles.
      #expect((connection.received.capacity, connection.outbound.capacity) == (0, 0))
    }
  }

  @Test func `a connection that idles gives its task back, and takes it up for a request`()
    async throws
  {
    try await Stage.run { stage in
      for ending in ["request", "end", "drain", "time"] {
        let (socket, peer) = try FarEnd.pair(on: stage.loop)
        let connection = ServerConnection.make(
          socket, stage, limits: .test(idleMs: ending == "time" ? 400 : Stage.patienceMs))
        try peer.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(await connection.next() == .request("/a"))
        guard case .parked = await connection.nextRequest() else {
          throw Impatience("a connection that idles")
        }
        let waiter = stage.makeWaiter()
        var wakes = 0
        connection.park {
          wakes += 1
          waiter.signal()
        }
        switch ending {
        case "request": try peer.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        case "end": peer.endSending()
        case "drain": connection.drain()
        default: break
        }
        #expect(await waiter.wait(untilMs: stage.patience))
        #expect(wakes == 1)
        #expect(await connection.next() == (ending == "request" ? .request("/b") : .finished))
      }
    }
  }

  @Test func `a head that was begun and not finished is too slow`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage, limits: .test(headerMs: 30))
      try peer.send("GET / HT")
      // More of it renews nothing.
      let thread = try WorkerThread.start("sender") { try? peer.send("TP") }
      #expect(await connection.next() == .tooSlow)
      thread.join()
    }
  }

  @Test func `a connection that ends inside a head is finished`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      try peer.send("GET / HT")
      peer.endSending()
      #expect(await connection.next() == .finished)
    }
  }

  @Test func `a request and the end of the stream in one piece is a request`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      try peer.send("GET /last HTTP/1.1\r\nHost: x\r\n\r\n")
      peer.endSending()
      #expect(await connection.next() == .request("/last"))
      #expect(await connection.next() == .finished)
    }
  }

  @Test func `draining ends an idle connection at once`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      try peer.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(await connection.next() == .request("/a"))
      connection.drain()
      #expect(connection.closesAfterAnswer)
      #expect(await connection.next() == .finished)
    }
  }

  @Test func `draining wakes a connection that waits, and lets a begun head come`() async throws {
    try await Stage.run { stage in
      for begun in [false, true] {
        let (socket, peer) = try FarEnd.pair(on: stage.loop)
        let connection = ServerConnection.make(socket, stage)
        if begun { try peer.send("GET /late HTTP/1.1\r\nHo") }
        let other = stage.makeWaiter()
        let remote = other.remote
        // Runs when the connection waits.
        stage.loop.spawn { @Sendable in remote.signal() }
        let drainer = Drainer(connection)
        drainer.start(on: stage, begun ? peer : nil)
        #expect(await connection.next() == (begun ? .request("/late") : .finished))
        #expect(connection.isDraining)
        _ = await other.wait(untilMs: stage.patience)
      }
    }
  }

  @Test func `notices that the caller has gone, and keeps what it sent ahead`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      try peer.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(await connection.next() == .request("/a"))
      #expect(!connection.hasCallerGone())
      try peer.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(await connection.waiter.wait(untilMs: stage.patience))
      #expect(!connection.hasCallerGone())
      #expect(await connection.next() == .request("/b"))
      peer.endSending()
      #expect(await connection.waiter.wait(untilMs: stage.patience))
      #expect(connection.hasCallerGone())
    }
  }

  @Test func `writes an answer to a caller that reads slowly, whole`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      let answer = [UInt8](repeating: 7, count: 2 << 20)
      _ = connection.answerBuffer()
      connection.growAnswerBuffer(toAtLeast: answer.count).append(answer)
      #expect(connection.flush() == .wouldBlock)
      let thread = try WorkerThread.start("reader") {
        var count = 0
        while count < answer.count, let more = try? peer.receive(atMost: 5_000) {
          #expect(more.allSatisfy { $0 == 7 })
          count += more.count
        }
        #expect(count == answer.count)
      }
      #expect(await connection.flushAll(stallMs: Stage.patienceMs))
      #expect(connection.bytesWritten == UInt64(answer.count))
      thread.join()
    }
  }

  @Test func `gives up an answer that nobody reads, also when bytes keep coming`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      connection.growAnswerBuffer(toAtLeast: 2 << 20)
        .append([UInt8](repeating: 7, count: 2 << 20))
      // Events without progress, as of a caller that sends a byte now and then.
      tick(connection.waiter.remote, on: stage.loop)
      let beganMs = stage.loop.nowMs
      #expect(!(await connection.flushAll(stallMs: 60)))
      // Before the last of those events.
      #expect(stage.loop.nowMs - beganMs < 400)
      peer.end()
    }
  }

  @Test(arguments: [(100_000, 100_000, true), (100_000, 40_000, false), (10, 100_000, false)])
  func `drops content, but not too much and not for ever`(
    _ sent: Int, _ bytesMax: Int, _ isDropped: Bool
  ) async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      let thread = try WorkerThread.start("sender") {
        try? peer.send(
          "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
            + String(repeating: "x", count: sent))
        if isDropped { try? peer.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n") }
      }
      #expect(await connection.next() == .request("/a"))
      // What never comes is not waited for much longer than that.
      let withinMs = sent < 100_000 ? 40 : Stage.patienceMs
      #expect(
        await connection.dropContent(bytesMax: UInt64(bytesMax), withinMs: withinMs) == isDropped)
      if isDropped { #expect(await connection.next() == .request("/b")) }
      peer.end()
      thread.join()
    }
  }

  @Test func `closes so that the caller gets the whole answer`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let connection = ServerConnection.make(socket, stage)
      connection.answerBuffer().append("an answer")
      #expect(await connection.flushAll(stallMs: Stage.patienceMs))
      let thread = try WorkerThread.start("caller") {
        #expect(throws: Never.self) {
          let answer = try peer.receiveToEnd()
          #expect(answer.text == "an answer")
          // Still sending: nobody resets the connection.
          try peer.send([UInt8](repeating: 1, count: 100_000))
        }
        peer.endSending()
      }
      await connection.close()
      thread.join()
      #expect((connection.received.capacity, connection.outbound.capacity) == (0, 0))
    }
  }

  @Test func `closes a TLS connection so, too`() async throws {
    let key = try PrivateKey(generate: .p256)
    let chain = try SelfSignedCertificate.makePEM(
      key: key, hosts: ["a.test"], addresses: [], now: Int(Clock.wallMs() / 1_000), days: 1)
    let server = try TLSServerContext(
      identities: [.init(chain: chain, key: try key.makePEM())], minimum: .tls12,
      tickets: TicketKeys())
    let client = try TLSClientContext(authorities: chain)
    try await Stage.run { stage in
      let (one, other) = try FarEnd.twoOfOurs(on: stage.loop)
      let callerWaiter = stage.makeWaiter()
      let waiter = stage.makeWaiter()
      let callerSession = try #require(TLSSession(client: client, name: "a.test", over: one))
      let session = try #require(TLSSession(server: server, over: other))
      one.waiter = callerWaiter
      other.waiter = callerWaiter
      while true {
        let steps = (callerSession.handshake(), session.handshake())
        if steps == (.done, .done) { break }
        guard await callerWaiter.wait(untilMs: stage.patience) else { throw Impatience("hands") }
      }
      let connection = ServerConnection(
        ByteStream(other, tls: session), waiter: waiter, buffers: BufferPool(), limits: .test())
      let caller = ByteStream(one, tls: callerSession)
      connection.answerBuffer().append("an answer")
      #expect(await connection.flushAll(stallMs: Stage.patienceMs))
      let ended = stage.makeWaiter()
      stage.loop.spawn {
        _ = stage
        await connection.close()
        ended.signal()
      }
      // The caller still sends: nobody resets the connection before it has ended its side.
      let content = Buffer(capacity: 64 << 10)
      for _ in 0..<8 {
        content.append([UInt8](repeating: 1, count: 64 << 10))
        while !content.isEmpty {
          switch caller.write(from: content) {
          case .bytes: break
          case .wouldBlock: #expect(await callerWaiter.wait(untilMs: stage.patience))
          case .ended, .failed:
            Issue.record("reset")
            return
          }
        }
      }
      let answer = Buffer(capacity: 100)
      while caller.read(into: answer) != .ended {
        if !caller.canRead { #expect(await callerWaiter.wait(untilMs: stage.patience)) }
      }
      #expect(answer.bytes.text == "an answer")
      caller.shutDown()
      #expect(await ended.wait(untilMs: stage.patience))
    }
  }

  @Test func `gives its buffers back, however it ends`() async throws {
    try await Stage.run { stage in
      let buffers = BufferPool()
      buffers.give(buffers.take())
      let freeCount = buffers.freeCount
      do {
        let (socket, peer) = try FarEnd.pair(on: stage.loop)
        let connection = ServerConnection.make(socket, stage, buffers: buffers)
        try peer.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(await connection.next() == .request("/a"))
        #expect(buffers.freeCount < freeCount)
        connection.abort()
        // The log still reads the head.
        let received = connection.received
        let method = [UInt8](copying: received.slice(connection.head.methodRange))
        #expect(method.text == "GET")
      }
      #expect(buffers.freeCount == freeCount)
    }
  }
}

/// Drains a connection from another task of its loop.
private final class Drainer {
  private let connection: ServerConnection

  init(_ connection: ServerConnection) { self.connection = connection }

  func start(on stage: isolated Stage, _ peer: FarEnd?) {
    let connection = connection
    let waiter = stage.makeWaiter()
    waiter.signal()
    stage.loop.spawn {
      _ = stage
      _ = await waiter.wait()
      connection.drain()
      try? peer?.send("st: x\r\n\r\n")
    }
  }
}

/// Signals a waiter every few milliseconds, a hundred times.
private func tick(_ remote: RemoteWaiter, on loop: EventLoop) {
  loop.spawn { @Sendable in
    let waiter = Waiter(on: loop)
    for _ in 0..<100 {
      _ = await waiter.wait(untilMs: loop.nowMs + 5)
      remote.signal()
    }
  }
}
