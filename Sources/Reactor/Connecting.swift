import CLinux
import Glibc

extension Socket {
  /// Begins a TCP connection; `connectionOutcome` tells how it went, after an event.
  package static func connecting(
    to address: SocketAddress, on loop: EventLoop
  ) throws(SystemError) -> Socket {
    let descriptor = try outgoing(address.isV6 ? AF_INET6 : AF_INET, on: loop)
    let raw = descriptor.raw
    _ = clinux_set_no_delay(raw)
    _ = clinux_set_keep_alive(raw)
    let result = unsafe address.withKernelForm { unsafe connect(raw, $0, $1) }
    if result < 0, errno != EINPROGRESS, errno != EINTR {
      throw SystemError(call: "connect \(address)", code: errno)
    }
    let socket = try Socket(descriptor, on: loop)
    if result < 0 { socket.markConnecting() }
    return socket
  }

  /// Begins a connection to a socket in the file system (unix(7)).
  ///
  /// - Parameter path: at most 107 bytes.
  /// - Throws: EAGAIN where those who wait to be accepted are too many already: the kernel has no
  ///   queue behind that one, so whoever wants to wait tries again.
  package static func connecting(
    toPath path: String, on loop: EventLoop
  ) throws(SystemError) -> Socket {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path)
    guard path.utf8.count < room else { throw SystemError(call: "connect", code: ENAMETOOLONG) }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    let descriptor = try outgoing(AF_UNIX, on: loop)
    let raw = descriptor.raw
    let length = socklen_t(MemoryLayout<sockaddr_un>.size)
    let result = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(raw, $0, length)
      }
    }
    // It stands at once or not at all.
    if result < 0 { throw SystemError(call: "connect unix:\(path)", code: errno) }
    return try Socket(descriptor, on: loop)
  }

  private static func outgoing(
    _ family: CInt, on loop: EventLoop
  ) throws(SystemError) -> FileDescriptor {
    let descriptor = FileDescriptor(
      adopting: try SystemError.check("socket") { clinux_stream_socket(family) })
    // The last ones are others' (`DescriptorShares`).
    if descriptor.raw >= loop.descriptors.serversEnd {
      throw SystemError(call: "socket", code: EMFILE)
    }
    return descriptor
  }

  /// Whether a connection that was begun stands.
  ///
  /// - Returns: true when it does, false when it is still under way.
  /// - Throws: why it failed.
  package func isConnected() throws(SystemError) -> Bool {
    if !canWrite { return false }
    let code = clinux_socket_error(raw)
    if code != 0 { throw SystemError(call: "connect", code: code < 0 ? errno : code) }
    return true
  }

  private func markConnecting() {
    markFull()
    markDrained()
  }
}
