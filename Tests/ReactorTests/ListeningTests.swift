import Glibc
import TestSupport
import Testing
import Wire

@testable import Reactor

struct ListeningTests {
  /// A folder for one socket, and its path.
  private static func inFolder<Value>(
    _ body: (_ folder: TemporaryFolder, _ path: String) async throws -> Value
  ) async throws -> Value {
    let folder = try TemporaryFolder(in: "/tmp", name: "tollgate-socket")
    defer { folder.remove() }
    return try await body(folder, folder.file("s"))
  }

  /// The next connection.
  private static func accept(
    _ listening: ListeningSocket, _ stage: isolated Stage
  ) async throws -> (Socket, SocketAddress?) {
    let waiter = stage.makeWaiter()
    listening.waiter = waiter
    while true {
      switch listening.accept(on: stage.loop) {
      case .connection(let socket, let peer): return (socket, peer)
      case .none:
        guard await waiter.wait(untilMs: stage.patience) else { throw Impatience("a caller") }
      case .skipped: continue
      case .exhausted(let error): throw error
      }
    }
  }

  private static func connect(to path: String) throws -> FarEnd {
    let peer = FarEnd(adopting: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    _ = try SystemError.check("connect") {
      unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe Glibc.connect(peer.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
    }
    return peer
  }

  @Test func `accepts at a unix socket, whose callers have no address`() async throws {
    try await Self.inFolder { _, path in
      try await Stage.run { stage in
        let (bound, file) = try SocketFile.bind(at: path, mode: 0o600)
        #expect(bound.address == .unix(path) && bound.networkAddress == nil)
        let listening = try ListeningSocket(adopting: bound, on: stage.loop)
        let peer = try Self.connect(to: path)
        let (socket, address) = try await Self.accept(listening, stage)
        #expect(address == nil)
        #expect(socket.write(from: Buffer("hello", capacity: 5)) == .bytes(5))
        #expect(try peer.receive().text == "hello")
        file.remove()
        #expect(!Surroundings.hasFile(path))
      }
    }
  }

  @Test func `loops share a listening socket, and none misses a caller`() async throws {
    try await Self.inFolder { _, path in
      try await Stage.run { stage in
        let (bound, file) = try SocketFile.bind(at: path, mode: 0o600)
        let copies = [try ListeningSocket(adopting: bound.copy(), on: stage.loop)]
        let other = try EventLoop()
        // It sleeps at the socket too, and takes nothing.
        let idle = try ListeningSocket(adopting: bound.copy(), on: other)
        bound.discard()
        for _ in 0..<20 {
          let peer = try Self.connect(to: path)
          let (socket, _) = try await Self.accept(copies[0], stage)
          try peer.send("x")
          let waiter = stage.makeWaiter()
          #expect(try await socket.readWaiting(into: Buffer(capacity: 1), waiter) == .bytes(1))
        }
        #expect(idle.address == .unix(path))
        file.remove()
      }
    }
  }

  @Test func `replaces what nobody answers at and nothing else`() async throws {
    try await Self.inFolder { folder, path in
      let (first, _) = try SocketFile.bind(at: path, mode: 0o600)
      let taken = #expect(throws: SystemError.self) { try SocketFile.bind(at: path, mode: 0o600) }
      #expect(taken?.code == EADDRINUSE)
      first.discard()
      let (second, file) = try SocketFile.bind(at: path, mode: 0o600)
      second.discard()
      file.remove()
      #expect(!Surroundings.hasFile(path))
      try folder.write([1], to: "s")
      let plain = #expect(throws: SystemError.self) { try SocketFile.bind(at: path, mode: 0o600) }
      #expect(plain?.call.hasSuffix("the file is no socket") == true)
      file.remove()
      #expect(Surroundings.hasFile(path))
    }
  }

  @Test func `leaves a file that another process took over`() async throws {
    try await Self.inFolder { _, path in
      let (bound, file) = try SocketFile.bind(at: path, mode: 0o600)
      file.leave()
      file.remove()
      #expect(Surroundings.hasFile(path))
      bound.discard()
    }
  }

  @Test func `IPv6 and IPv4 have a port each`() throws {
    let any = try #require(SocketAddress(literal: "0.0.0.0", port: 0))
    let four = try ListeningSocket.bind(at: any)
    let port = try #require(four.networkAddress?.port)
    let six = try #require(SocketAddress(literal: "::", port: port))
    let both = try ListeningSocket.bind(at: try ListeningSocket.probe(six))
    #expect(both.networkAddress?.port == port)
    four.discard()
    both.discard()
  }

  @Test func `what was looked at is read again, and no more of it`() async throws {
    try await Stage.run { stage in
      let (socket, peer) = try FarEnd.pair(on: stage.loop)
      let waiter = stage.makeWaiter()
      socket.waiter = waiter
      let buffer = Buffer(capacity: 100)
      try peer.send("hel")
      #expect(socket.peek(into: buffer) == .bytes(3))
      // Nothing new: the same bytes are no reason to look again.
      #expect(socket.peek(into: buffer) == .wouldBlock)
      try peer.send("lo world")
      while socket.peek(into: buffer) == .wouldBlock {
        guard await waiter.wait(untilMs: stage.patience) else { throw Impatience("more") }
      }
      #expect(buffer.bytes.text == "hello world")
      socket.take(6, from: buffer)
      #expect(buffer.isEmpty)
      #expect(socket.read(into: buffer) == .bytes(5))
      #expect(buffer.bytes.text == "world")
    }
  }

  @Test(arguments: [
    ([:], "LISTEN_FDS is not set"),
    (["LISTEN_FDS": "1"], "LISTEN_PID is not ours"),
    (["LISTEN_FDS": "1", "LISTEN_PID": "8"], "LISTEN_PID is not ours"),
    (["LISTEN_FDS": "0", "LISTEN_PID": "7"], "LISTEN_FDS is no number of them"),
    (["LISTEN_FDS": "x", "LISTEN_PID": "7"], "LISTEN_FDS is no number of them"),
  ])
  func `takes no sockets that were not passed to it`(
    _ variables: [String: String], _ why: String
  ) throws {
    let sockets = ActivatedSockets(variable: { variables[$0] }, processID: 7)
    #expect(sockets.names == [])
    let error = #expect(throws: SystemError.self) { try sockets.sockets(named: "web") }
    #expect(error?.call.hasSuffix(why) == true, "\(error?.call ?? "")")
  }
}
