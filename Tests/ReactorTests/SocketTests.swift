import Glibc
import TestSupport
import Testing
import Wire

@testable import Reactor

extension Socket {
  /// Reads when there is something.
  func readWaiting(into buffer: Buffer, _ waiter: Waiter) async throws -> Transfer {
    self.waiter = waiter
    while true {
      let transfer = read(into: buffer)
      guard transfer == .wouldBlock else { return transfer }
      let untilMs = waiter.loop.nowMs + Stage.patienceMs
      guard await waiter.wait(untilMs: untilMs) else { throw Impatience("something to read") }
    }
  }
}

struct SocketTests {
  @Test func `a read that took all there was marks the socket drained`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let waiter = stage.makeWaiter()
      let buffer = Buffer(capacity: 8)
      try peer.send("hello")
      #expect(socket.read(into: buffer) == .bytes(5))
      #expect(!socket.canRead)
      // Not even asked for: the kernel has more, and no event has told so.
      try peer.send("!")
      #expect(socket.read(into: buffer) == .wouldBlock)
      #expect(try await socket.readWaiting(into: buffer, waiter) == .bytes(1))
      #expect(buffer.bytes.text == "hello!")
    }
  }

  @Test func `a read that filled its room leaves the socket readable`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      try peer.send("hello world")
      let buffer = Buffer(capacity: 5)
      #expect(socket.read(into: buffer) == .bytes(5))
      #expect(socket.canRead)
      buffer.removeAll()
      #expect(socket.read(into: buffer) == .bytes(5))
      buffer.removeAll()
      #expect(socket.read(into: buffer) == .bytes(1))
      #expect(!socket.canRead)
    }
  }

  @Test func `nothing lost when bytes and the end come with one event`() async throws {
    for before in [false, true] {
      try await Stage.run { stage in
        let (socket, peer) = try FarEnd.pair(on: stage.loop)
        let waiter = stage.makeWaiter()
        let buffer = Buffer(capacity: 100)
        if before { #expect(socket.read(into: buffer) == .wouldBlock) }
        try peer.send("last words")
        peer.endSending()
        #expect(try await socket.readWaiting(into: buffer, waiter) == .bytes(10))
        #expect(try await socket.readWaiting(into: buffer, waiter) == .ended)
        #expect(try await socket.readWaiting(into: buffer, waiter) == .ended)
        #expect(socket.hasPeerEnded)
        // The other direction still goes.
        let answer = Buffer("answer", capacity: 10)
        #expect(socket.write(from: answer) == .bytes(6))
        #expect(try peer.receive().text == "answer")
      }
    }
  }

  @Test func `a full socket waits until the peer reads`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let waiter = stage.makeWaiter()
      socket.waiter = waiter
      let buffer = Buffer(capacity: 4 << 20)
      buffer.append([UInt8](repeating: 3, count: 4 << 20))
      // Reads when nothing more can be written, and not so soon that nothing ever waits.
      let isFull = Semaphore()
      let thread = try WorkerThread.start("reader") {
        isFull.wait(milliseconds: Stage.patienceMs)
        var count = 0
        while count < 4 << 20, let more = try? peer.receive() { count += more.count }
        #expect(count == 4 << 20)
      }
      var waits = 0
      while !buffer.isEmpty {
        switch socket.write(from: buffer) {
        case .bytes: continue
        case .wouldBlock:
          #expect(!socket.canWrite)
          waits += 1
          isFull.signal()
          #expect(await waiter.wait(untilMs: stage.patience))
        case .ended, .failed:
          Issue.record("broken")
          buffer.removeAll()
        }
      }
      #expect(waits > 0)
      thread.join()
    }
  }

  @Test func `writing to nobody is a failure and no signal`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      peer.end()
      let buffer = Buffer("x", capacity: 1)
      #expect(socket.write(from: buffer) == .failed(.system(EPIPE)))
      #expect(buffer.count == 1)
    }
  }

  @Test func `an idle connection is quiet until something comes`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let waiter = stage.makeWaiter()
      socket.waiter = waiter
      #expect(socket.isQuiet())
      try peer.send("x")
      #expect(await waiter.wait(untilMs: stage.patience))
      while !socket.canRead { #expect(await waiter.wait(untilMs: stage.patience)) }
      #expect(!socket.isQuiet())
      // It was only looked at.
      let buffer = Buffer(capacity: 8)
      #expect(socket.read(into: buffer) == .bytes(1))
      #expect(socket.isQuiet())
      peer.endSending()
      while !socket.hasPeerEnded { #expect(await waiter.wait(untilMs: stage.patience)) }
      #expect(!socket.isQuiet())
    }
  }

  @Test func `an event for a socket that has gone reaches no other one`() async throws {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let other = stage.makeWaiter()
      let (second, secondPeer) = try FarEnd.pair(on: stage.loop)
      second.waiter = other
      await stage.turn()
      _ = await other.wait(untilMs: stage.loop.nowMs)
      _ = second.read(into: Buffer(capacity: 1))
      #expect(!second.canRead)
      do {
        let (first, firstPeer) = try FarEnd.pair(on: stage.loop)
        first.waiter = waiter
        try firstPeer.send("x")
      }
      // Its slot is the next one's.
      let (third, thirdPeer) = try FarEnd.pair(on: stage.loop)
      third.waiter = other
      _ = third.read(into: Buffer(capacity: 1))
      await stage.turn()
      #expect(!second.canRead)
      try thirdPeer.send("y")
      try secondPeer.send("y")
      #expect(await other.wait(untilMs: stage.patience))
    }
  }

  @Test func `listens, accepts and connects`() async throws {
    try await Stage.run { stage in
      let any = try #require(SocketAddress(literal: "127.0.0.1", port: 0))
      let bound = try ListeningSocket.bind(at: ListeningSocket.probe(any))
      let address = try #require(bound.networkAddress)
      #expect(address.port != 0)
      let listening = try ListeningSocket(adopting: bound, on: stage.loop)
      let waiter = stage.makeWaiter()
      listening.waiter = waiter
      guard case .none = listening.accept(on: stage.loop) else { throw Impatience("nobody") }
      let client = try Socket.connecting(to: address, on: stage.loop)
      client.waiter = waiter
      while try !client.isConnected() { #expect(await waiter.wait(untilMs: stage.patience)) }
      var accepted: Socket?
      while accepted == nil {
        switch listening.accept(on: stage.loop) {
        case .connection(let socket, let peer):
          #expect(peer?.host == "127.0.0.1")
          accepted = socket
        case .none: #expect(await waiter.wait(untilMs: stage.patience))
        case .skipped: continue
        case .exhausted(let error): throw error
        }
      }
      let server = try #require(accepted)
      #expect(server.write(from: Buffer("hello", capacity: 5)) == .bytes(5))
      let buffer = Buffer(capacity: 5)
      #expect(try await client.readWaiting(into: buffer, waiter) == .bytes(5))
      // A reset is told from an orderly end.
      client.resetOnClose()
      #expect(throws: SystemError.self) { try ListeningSocket.probe(address) }
    }
  }

  @Test func `a connection that nobody takes is refused`() async throws {
    try await Stage.run { stage in
      let server = try ScriptedServer([])
      try server.finish()
      let waiter = stage.makeWaiter()
      await #expect(throws: SystemError(call: "connect", code: ECONNREFUSED)) {
        let socket = try Socket.connecting(to: server.address, on: stage.loop)
        socket.waiter = waiter
        while try !socket.isConnected() { #expect(await waiter.wait(untilMs: stage.patience)) }
      }
    }
  }

  @Test func `a reset is a failure and no end`() async throws {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive()
        var linger = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(
          peer.raw, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
      }
    ])
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let socket = try Socket.connecting(to: server.address, on: stage.loop)
      socket.waiter = waiter
      while try !socket.isConnected() { #expect(await waiter.wait(untilMs: stage.patience)) }
      #expect(socket.write(from: Buffer("x", capacity: 1)) == .bytes(1))
      let transfer = try await socket.readWaiting(into: Buffer(capacity: 8), waiter)
      #expect(transfer == .failed(.system(ECONNRESET)))
    }
    try server.finish()
  }
}

struct SocketAddressTests {
  @Test(
    arguments: [
      ("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"),
      ("2001:db8:0:0:0:0:0:1", "[2001:db8::1]:80"), ("::ffff:10.0.0.1", "[10.0.0.1]:80"),
    ])
  func `reads and writes literal addresses`(_ text: String, _ description: String) throws {
    let address = try #require(SocketAddress(literal: text, port: 80))
    #expect("\(address)" == description)
    #expect(address.isV6 == text.contains(":"))
  }

  @Test(arguments: ["", "localhost", "127.0.0.1:80", "[::1]", "1.2.3", "fe80::1%lo", "0x7f.1"])
  func `takes nothing else for an address`(_ text: String) {
    #expect(SocketAddress(literal: text, port: 80) == nil)
  }

  @Test func `has four or sixteen bytes`() {
    for count in 0...20 {
      let address = SocketAddress(bytes: [UInt8](repeating: 1, count: count), port: 1)
      #expect((address != nil) == (count == 4 || count == 16))
    }
  }
}

struct SystemErrorTests {
  @Test func `names the call, the reason and the symbol`() {
    let error = SystemError(call: "listen 0.0.0.0:443", code: EACCES)
    #expect("\(error)" == "listen 0.0.0.0:443: permission denied (EACCES)")
    #expect(SystemError.text(of: EADDRINUSE) == "address already in use (EADDRINUSE)")
    #expect(SystemError.text(of: ENOTEMPTY) == "directory not empty (errno \(ENOTEMPTY))")
    #expect(SystemError.timedOut("connect").code == ETIMEDOUT)
  }

  @Test func `asks again after a signal, and for nothing else`() throws {
    var codes = [EINTR, EINTR, 0]
    let result = try SystemError.check("call") {
      let code = codes.removeFirst()
      if code == 0 { return 7 }
      errno = code
      return -1
    }
    #expect((result, codes.isEmpty) == (7, true))
    #expect(throws: SystemError(call: "call", code: EAGAIN)) {
      try SystemError.check("call") {
        errno = EAGAIN
        return -1
      }
    }
  }

  @Test func `says why a connection broke without a word of the peer's`() {
    #expect(StreamFault.system(ECONNRESET).text == "connection reset by peer (ECONNRESET)")
    #expect(StreamFault.tls("wrong version number").text == "TLS: wrong version number")
    #expect(StreamFault.truncated.text == "TLS: the connection ended without close_notify")
  }
}
