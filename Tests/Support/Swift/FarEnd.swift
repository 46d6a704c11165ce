import Glibc
package import Reactor

/// The other end of a connection, played by the test: a blocking descriptor with a generous bound.
package final class FarEnd: Sendable {
  package let raw: CInt

  package init(adopting raw: CInt) {
    self.raw = raw
    var bound = timeval(tv_sec: Int(Stage.patienceMs / 1_000), tv_usec: 0)
    unsafe setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &bound, socklen_t(MemoryLayout<timeval>.size))
    unsafe setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &bound, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(raw) }

  /// A TCP connection to `address`, which is one of IPv4.
  package static func connect(to address: SocketAddress) throws -> FarEnd {
    let peer = FarEnd(adopting: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = address.port.bigEndian
    unsafe withUnsafeMutableBytes(of: &name.sin_addr) { unsafe $0.copyBytes(from: address.bytes) }
    _ = try SystemError.check("connect") {
      unsafe withUnsafePointer(to: &name) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe Glibc.connect(peer.raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    }
    return peer
  }

  /// A pair of connected sockets: ours, on the loop, and the peer's.
  package static func pair(on loop: EventLoop) throws(SystemError) -> (ours: Socket, peer: FarEnd) {
    let ends = try makeEnds()
    let peer = FarEnd(adopting: ends[1])
    return (try adopt(ends[0], on: loop), peer)
  }

  /// A pair of connected sockets, both ours.
  package static func twoOfOurs(on loop: EventLoop) throws(SystemError) -> (Socket, Socket) {
    let ends = try makeEnds()
    return (try adopt(ends[0], on: loop), try adopt(ends[1], on: loop))
  }

  private static func makeEnds() throws(SystemError) -> [CInt] {
    var ends: [CInt] = [-1, -1]
    _ = try SystemError.check("socketpair") {
      unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
    }
    return ends
  }

  private static func adopt(_ raw: CInt, on loop: EventLoop) throws(SystemError) -> Socket {
    let descriptor = FileDescriptor(adopting: raw)
    _ = try SystemError.check("fcntl") { fcntl(raw, F_SETFL, O_NONBLOCK) }
    return try Socket(descriptor, on: loop)
  }

  /// Sends all of it.
  package func send(_ bytes: [UInt8]) throws {
    var offset = 0
    while offset < bytes.count {
      let rest = bytes[offset...]
      let count = unsafe rest.withUnsafeBytes {
        unsafe Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0 { throw SystemError(call: "send", code: errno) }
      offset += count
    }
  }

  package func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// What comes next, at most `count` bytes; empty at the end.
  package func receive(atMost count: Int = 64 << 10) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = unsafe recv(raw, &bytes, count, 0)
    if got < 0 { throw SystemError(call: "recv", code: errno) }
    return Array(bytes[..<got])
  }

  /// What has come and was not read yet, without waiting.
  package func receiveWhatIsThere() -> [UInt8] {
    var all: [UInt8] = []
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let got = unsafe recv(raw, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      if got <= 0 { return all }
      all += bytes[..<got]
    }
  }

  /// Reads until what came ends with `text`.
  package func receive(through text: String) throws -> [UInt8] {
    let end = Array(text.utf8)
    var all: [UInt8] = []
    while !all.suffix(end.count).elementsEqual(end) {
      let more = try receive(atMost: 1)
      if more.isEmpty { throw Impatience("the end instead of \(text)") }
      all += more
    }
    return all
  }

  /// Reads to the end of the stream.
  package func receiveToEnd() throws -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let more = try receive()
      if more.isEmpty { return all }
      all += more
    }
  }

  /// Ends the sending side.
  package func endSending() { _ = shutdown(raw, Int32(SHUT_WR)) }

  /// Ends both sides; the descriptor stays.
  package func end() { _ = shutdown(raw, Int32(SHUT_RDWR)) }
}

extension [UInt8] {
  /// As text, for comparisons that can be read.
  package var text: String { String(decoding: self, as: UTF8.self) }
}
