import COpenSSL
import Glibc
import TestSupport
import Testing

@testable import Reactor

/// What a peer may do to a session behind its handshake.
struct TLSHostilityTests {
  /// Serves one client that does something after its handshake: reads what it sends, to the end or
  /// to `count` bytes, and answers with as much.
  private func read(
    _ count: Int, of client: PlainClient
  ) async throws -> (last: Transfer, bytes: [UInt8]) {
    let context = try TLSServerContext(TestIdentity(["a.test"]))
    return try await Stage.run { stage in
      let peer: FarEnd
      var socket: Socket?
      (socket, peer) = try FarEnd.pair(on: stage.loop)
      let thread = try WorkerThread.start("client") { _ = client.run(over: peer) }
      let seen = try await Self.read(count, from: &socket, context, stage.makeWaiter())
      // The socket has closed: the client is not stuck in a write.
      thread.join()
      #expect(ERR_peek_error() == 0, "the thread's queue belongs to others")
      return seen
    }
  }

  private static func read(
    _ count: Int, from slot: inout Socket?, _ context: TLSServerContext, _ waiter: Waiter
  ) async throws -> (Transfer, [UInt8]) {
    guard let socket = slot.take() else { throw Impatience("a socket") }
    socket.waiter = waiter
    let session = try #require(TLSSession(server: context, over: socket))
    #expect(try await session.shakeHands(waiter) == .done)
    let stream = ByteStream(socket, tls: session)
    let buffer = Buffer(capacity: count + 1)
    var last = Transfer.wouldBlock
    while buffer.count < count {
      last = try await stream.readWaiting(into: buffer, waiter)
      guard case .bytes = last else { break }
    }
    stream.shutDown()
    return (last, buffer.bytes)
  }

  @Test func `keys may be updated between records`() async throws {
    let client = PlainClient(
      version: TLS1_3_VERSION,
      then: { session in
        for _ in 0..<100 {
          _ = session.updateKeys()
          _ = session.write("x")
        }
      })
    let seen = try await read(100, of: client)
    #expect(seen.bytes.text == String(repeating: "x", count: 100))
  }

  @Test func `a flood of key updates ends the connection`() async throws {
    let client = PlainClient(
      version: TLS1_3_VERSION,
      then: { session in
        var left = 50_000
        while left > 0, session.updateKeys() { left -= 1 }
        _ = session.write("x")
      })
    let seen = try await read(1, of: client)
    #expect(seen.last == .failed(.tls("too many messages without content")))
    #expect(seen.bytes.isEmpty)
  }

  @Test func `keys updated while the answer waits for room lose nothing`() async throws {
    let identity = try TestIdentity(["a.test"])
    let context = try TLSServerContext(identity)
    let content = (0..<(3 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 5) }
    let isFull = Semaphore()
    let client = PlainClient(
      version: TLS1_3_VERSION,
      then: { session in
        isFull.wait(milliseconds: Stage.patienceMs)
        for _ in 0..<3 {
          _ = session.requestKeyUpdate()
          _ = session.write("go")
        }
      })
    let outcome = Latch<PlainClient.Outcome>()
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let thread = try WorkerThread.start("client") { outcome.set(client.run(over: peer)) }
      let waiter = stage.makeWaiter()
      socket.waiter = waiter
      let session = try #require(TLSSession(server: context, over: socket))
      #expect(try await session.shakeHands(waiter) == .done)
      let stream = ByteStream(socket, tls: session)
      let outgoing = Buffer(capacity: content.count)
      let incoming = Buffer(capacity: 100)
      outgoing.append(content)
      while case .bytes = stream.write(from: outgoing) {}
      #expect(!outgoing.isEmpty, "the socket takes all: nothing is blocked")
      isFull.signal()
      while !outgoing.isEmpty || incoming.count < 6 {
        let wrote = outgoing.isEmpty ? .wouldBlock : stream.write(from: outgoing)
        let read = stream.read(into: incoming)
        if case .failed(let fault) = wrote { throw fault }
        if case .failed(let fault) = read { throw fault }
        if wrote == .wouldBlock, read == .wouldBlock,
          await !waiter.wait(untilMs: stage.patience)
        {
          throw Impatience("bytes")
        }
      }
      #expect(incoming.bytes.text == "gogogo")
      stream.shutDown()
      thread.join()
      #expect(ERR_peek_error() == 0)
    }
    #expect(try #require(outcome.value).received == content)
  }

  // The smaller one leaves OpenSSL's own buffer, and with it the socket, empty.
  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION], [8 << 10, 16 << 10])
  func `a large record is read in small pieces without a new event`(
    _ version: CInt, _ count: Int
  ) async throws {
    let identity = try TestIdentity(["a.test"])
    let server = try TLSServerContext(
      identity, minimum: version == TLS1_3_VERSION ? .tls13 : .tls12)
    let client = try TLSClientContext(authorities: identity.chain)
    let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 5) }
    let step = try await connect(client, name: "a.test", to: server) { stage, one, other, waiter in
      let outgoing = Buffer(capacity: content.count)
      outgoing.append(content)
      #expect(other.write(from: outgoing) == .bytes(content.count))
      let piece = Buffer(capacity: 1 << 10)
      var got: [UInt8] = []
      guard case .bytes = try await one.readWaiting(into: piece, waiter) else {
        throw Impatience("bytes")
      }
      // Nobody takes the pieces for a while: the rest lies in OpenSSL, and no event will tell.
      for _ in 0..<3 { await stage.turn() }
      repeat {
        got += piece.bytes
        piece.removeAll()
        #expect(got.count == content.count || one.canRead)
      } while one.read(into: piece) != .wouldBlock
      #expect(got == content)
    }
    #expect(step == .done)
  }

  @Test func `a session that never shook hands says no goodbye`() async throws {
    let context = try TLSServerContext(TestIdentity(["a.test"]))
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let session = try #require(TLSSession(server: context, over: socket))
      #expect(session.handshake() == .wouldBlock)
      ByteStream(socket, tls: session).shutDown()
      #expect(ERR_peek_error() == 0)
      #expect(try peer.receive().isEmpty)
    }
  }

  @Test func `says of a caller in the clear that it is one`() async throws {
    let context = try TLSServerContext(TestIdentity(["a.test"]))
    try await Stage.run { stage in
      for (text, isClear) in [("GET / HTTP/1.1\r\n\r\n", true), ("\u{16}\u{3}\u{1}oh no", false)] {
        let (socket, peer) = try FarEnd.pair(on: stage.loop)
        let waiter = stage.makeWaiter()
        socket.waiter = waiter
        let session = try #require(TLSSession(server: context, over: socket))
        try peer.send(text)
        peer.endSending()
        _ = try await session.shakeHands(waiter)
        #expect(session.sawClearText == isClear)
      }
    }
  }

  @Test func `no session is made for a name that OpenSSL reads otherwise`() async throws {
    let client = try TLSClientContext(authorities: nil)
    try await Stage.run { stage in
      for name in ["", ".", ".a.test", "a.test\0", "a.test\0.b.test", "\0"] {
        let (socket, _) = try FarEnd.pair(on: stage.loop)
        #expect(TLSSession(client: client, name: name, over: socket) == nil, "\(name)")
      }
      let (socket, _) = try FarEnd.pair(on: stage.loop)
      #expect(TLSSession(client: client, name: "a.test", over: socket) != nil)
      #expect(ERR_peek_error() == 0)
    }
  }
}
