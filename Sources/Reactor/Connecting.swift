import CLinux
import Glibc

extension Socket {
  /// Begins a TCP connection; `connectionOutcome` tells how it went, after an event.
  package static func connecting(
    to address: SocketAddress, on loop: EventLoop
  ) throws(SystemError) -> Socket {
    let family = address.isV6 ? AF_INET6 : AF_INET
    let descriptor = FileDescriptor(
      adopting: try SystemError.check("socket") { clinux_stream_socket(family) })
    let raw = descriptor.raw
    // The last ones are others' (`DescriptorShares`).
    if raw >= loop.descriptors.serversEnd { throw SystemError(call: "socket", code: EMFILE) }
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
