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

/// A listening socket.
package final class ListeningSocket {
  /// The address it listens at, with the port that the system chose where 0 was asked for.
  package let address: SocketAddress
  private let socket: Socket
  /// Connections get descriptors below this number only.
  private let descriptorsEnd: CInt
  /// Whether the last connection's was not.
  private var isTight = false

  /// A socket that listens and is not yet anybody's: whoever adopts it closes it.
  package struct Bound: Sendable {
    fileprivate let raw: CInt
    /// The address, with the port that the system chose where 0 was asked for.
    package let address: SocketAddress

    /// Closes one that nobody takes over.
    package func discard() { _ = FileDescriptor(adopting: raw) }

    /// Its number, for a process that inherits it.
    package var number: CInt { raw }
  }

  /// Takes over a bound socket.
  ///
  /// - Parameter isForCallers: whether the last descriptors are others' (`DescriptorShares`).
  package init(
    adopting bound: Bound, on loop: EventLoop, isForCallers: Bool = false
  ) throws(SystemError) {
    address = bound.address
    descriptorsEnd = isForCallers ? loop.descriptors.callersEnd : .max
    socket = try Socket(FileDescriptor(adopting: bound.raw), on: loop)
  }

  /// Listens at `address`, sharing the port with this process's other workers.
  ///
  /// - Throws: the kernel's refusal, its `call` naming the address.
  package static func bind(at address: SocketAddress) throws(SystemError) -> Bound {
    let descriptor = try bound(to: address, sharing: true)
    let raw = descriptor.raw
    _ = clinux_set_unsent_max(raw, Self.unsentBytesMax)
    _ = try SystemError.check("listen \(address)") { listen(raw, Self.backlog) }
    let copy = try SystemError.check("dup") { clinux_duplicate(raw) }
    return Bound(raw: copy, address: boundAddress(of: raw) ?? address)
  }

  /// Takes over a socket that this process inherited.
  ///
  /// - Throws: `EBADF` or `ENOTSOCK` where there is none of that number that listens.
  package static func inherited(_ raw: CInt) throws(SystemError) -> Bound {
    guard raw > 2, clinux_close_on_exec(raw) == 0 else {
      throw SystemError(call: "descriptor \(raw)", code: EBADF)
    }
    guard clinux_is_listening(raw) != 0, let address = boundAddress(of: raw) else {
      throw SystemError(call: "descriptor \(raw)", code: ENOTSOCK)
    }
    return Bound(raw: raw, address: address)
  }

  /// Finds out whether `address` is free and may be bound, by binding it without sharing: with
  /// SO_REUSEPORT a second process of the same user would quietly get half of the connections.
  ///
  /// - Returns: the address, with the port that the system chose where 0 was asked for.
  package static func probe(_ address: SocketAddress) throws(SystemError) -> SocketAddress {
    let descriptor = try bound(to: address, sharing: false)
    return boundAddress(of: descriptor.raw) ?? address
  }

  /// The task to wake when a connection may be waiting.
  package var waiter: Waiter? {
    get { socket.waiter }
    set { socket.waiter = newValue }
  }

  /// What came of one `accept`.
  package enum Acceptance {
    case connection(Socket, peer: SocketAddress)
    /// None is waiting.
    case none
    /// This one is gone or unusable; the next may be well.
    case skipped(SystemError)
    /// The process or the system is short of something: pause.
    case exhausted(SystemError)
  }

  /// Takes a connection that is waiting.
  package func accept(on loop: EventLoop) -> Acceptance {
    if isTight {
      // One connection is served above the end; the others stay with the kernel, which answers
      // their callers, until something below it is free.
      let free = clinux_duplicate(socket.raw)
      if free >= 0 { _ = close(free) }
      isTight = free < 0 || free >= descriptorsEnd
      if isTight { return .exhausted(SystemError(call: "accept4", code: EMFILE)) }
    }
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let raw = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe clinux_accept(socket.raw, $0, &length)
      }
    }
    if raw < 0 {
      switch errno {
      case EAGAIN: return .none
      case EMFILE, ENFILE, ENOMEM, ENOBUFS:
        return .exhausted(SystemError(call: "accept4", code: errno))
      // The errors of the connection itself that Linux passes on (accept(2)), and signals.
      case let code: return .skipped(SystemError(call: "accept4", code: code))
      }
    }
    let descriptor = FileDescriptor(adopting: raw)
    isTight = raw >= descriptorsEnd
    guard let peer = SocketAddress(kernelForm: storage) else {
      return .skipped(SystemError(call: "accept4", code: EAFNOSUPPORT))
    }
    _ = clinux_set_no_delay(raw)
    do throws(SystemError) {
      return .connection(try Socket(descriptor, on: loop), peer: peer)
    } catch {
      return .exhausted(error)
    }
  }

  private static let backlog: CInt = 4096
  /// What of an answer may wait in the kernel to be sent; what is on its way does not count.
  /// Without it a reader that stops holds 4 MB, and some hundred of them what the kernel has for
  /// all connections of the machine, which then stand still. A long download as fast as loopback
  /// costs a fifth more CPU time with it (0.2 s a GB); an answer below this size nothing.
  private static let unsentBytesMax: CInt = 512 << 10

  private static func bound(
    to address: SocketAddress, sharing: Bool
  ) throws(SystemError) -> FileDescriptor {
    let family = address.isV6 ? AF_INET6 : AF_INET
    let descriptor = FileDescriptor(
      adopting: try SystemError.check("socket") { clinux_stream_socket(family) })
    let raw = descriptor.raw
    _ = try SystemError.check("setsockopt") { clinux_set_reuse_address(raw) }
    if sharing { _ = try SystemError.check("setsockopt") { clinux_set_reuse_port(raw) } }
    if address.isV6, address.bytes.contains(where: { $0 != 0 }) {
      _ = try SystemError.check("setsockopt") { clinux_set_v6_only(raw) }
    }
    _ = try SystemError.check("listen \(address)") {
      unsafe address.withKernelForm { unsafe clinux_bind(raw, $0, $1) }
    }
    return descriptor
  }

  private static func boundAddress(of raw: CInt) -> SocketAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe getsockname(raw, $0, &length)
      }
    }
    return result == 0 ? SocketAddress(kernelForm: storage) : nil
  }
}
