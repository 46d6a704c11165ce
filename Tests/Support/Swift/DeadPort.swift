import Glibc
package import Reactor

/// A port of 127.0.0.1 where nobody listens, and nobody else can while this is kept.
package final class DeadPort: Sendable {
  package let address: SocketAddress
  private let raw: CInt

  package init() throws {
    raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    address = try LoopbackPort.bind(raw)
  }

  deinit { close(raw) }
}

/// A port of 127.0.0.1 that the system chooses.
enum LoopbackPort {
  /// Gives it to this socket.
  static func bind(_ raw: CInt) throws -> SocketAddress {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    var count = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = unsafe withUnsafeMutablePointer(to: &name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.bind(raw, $0, count) == 0 && getsockname(raw, $0, &count) == 0
      }
    }
    guard isBound,
      let address = SocketAddress(literal: "127.0.0.1", port: UInt16(bigEndian: name.sin_port))
    else { throw SystemError(call: "bind", code: errno) }
    return address
  }
}
