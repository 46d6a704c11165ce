import CLinux
import Glibc

/// Where a socket listens.
package enum LocalAddress: Hashable, Sendable, CustomStringConvertible {
  case network(SocketAddress)
  /// A unix socket's file.
  case unix(String)

  package var description: String {
    switch self {
    case .network(let address): "\(address)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

/// A listening socket, as one worker has it.
package final class ListeningSocket {
  /// Where it listens, with the port that the system chose where 0 was asked for.
  package let address: LocalAddress
  private let socket: Socket
  /// Connections get descriptors below this number only.
  private let descriptorsEnd: CInt
  /// Whether the last connection's was not.
  private var isTight = false

  /// A socket that listens and is not yet anybody's: whoever adopts it closes it.
  package struct Bound: Sendable {
    /// The descriptor's number.
    package let raw: CInt
    /// Where it listens, with the port that the system chose where 0 was asked for.
    package let address: LocalAddress
    /// Whether all workers accept from this one, each by its own copy; else each has a socket of
    /// its own at the same port.
    package let isShared: Bool

    package init(raw: CInt, address: LocalAddress, isShared: Bool) {
      self.raw = raw
      self.address = address
      self.isShared = isShared
    }

    /// Another descriptor of the same socket.
    package func copy() throws(SystemError) -> Bound {
      let raw = self.raw
      let copy = try SystemError.check("dup") { clinux_duplicate(raw) }
      return Bound(raw: copy, address: address, isShared: isShared)
    }

    /// Closes one that nobody takes over.
    package func discard() { _ = FileDescriptor(adopting: raw) }

    /// The address with its port; nil of a unix socket.
    package var networkAddress: SocketAddress? {
      if case .network(let address) = address { return address }
      return nil
    }
  }

  /// Takes over a bound socket.
  ///
  /// - Parameter isForCallers: whether the last descriptors are others' (`DescriptorShares`).
  package init(
    adopting bound: Bound, on loop: EventLoop, isForCallers: Bool = false
  ) throws(SystemError) {
    address = bound.address
    descriptorsEnd = isForCallers ? loop.descriptors.callersEnd : .max
    socket = try Socket(
      FileDescriptor(adopting: bound.raw), on: loop, isShared: bound.isShared)
  }

  /// Listens at `address`, sharing the port with this process's other workers.
  ///
  /// - Throws: the kernel's refusal, its `call` naming the address.
  package static func bind(at address: SocketAddress) throws(SystemError) -> Bound {
    let descriptor = try bound(to: address, sharing: true)
    let raw = descriptor.raw
    let found = LocalAddress.network(boundAddress(of: raw) ?? address)
    return try listening(raw, at: found, isShared: false)
  }

  /// Takes over a socket that this process inherited.
  ///
  /// - Throws: `EBADF` or `ENOTSOCK` where there is none of that number that listens.
  package static func inherited(_ raw: CInt, isShared: Bool) throws(SystemError) -> Bound {
    guard raw > 2, clinux_close_on_exec(raw) == 0 else {
      throw SystemError(call: "descriptor \(raw)", code: EBADF)
    }
    if clinux_socket_option(raw, SO_ACCEPTCONN) == 1 {
      if let address = boundAddress(of: raw) {
        return Bound(raw: raw, address: .network(address), isShared: isShared)
      }
      if let path = ActivatedSockets.unixPath(of: raw) {
        return Bound(raw: raw, address: .unix(path), isShared: isShared)
      }
    }
    throw SystemError(call: "descriptor \(raw)", code: ENOTSOCK)
  }

  /// Finds out whether `address` is free and may be bound, by binding it without sharing: with
  /// SO_REUSEPORT a second process of the same user would quietly get half of the connections.
  ///
  /// - Returns: the address, with the port that the system chose where 0 was asked for.
  package static func probe(_ address: SocketAddress) throws(SystemError) -> SocketAddress {
    let descriptor = try bound(to: address, sharing: false)
    return boundAddress(of: descriptor.raw) ?? address
  }

  /// Has the bound socket `raw` listen.
  ///
  /// - Returns: a copy of it; `raw` stays its owner's.
  static func listening(
    _ raw: CInt, at address: LocalAddress, isShared: Bool
  ) throws(SystemError) -> Bound {
    if case .network = address { _ = clinux_set_unsent_max(raw, unsentBytesMax) }
    _ = try SystemError.check("listen \(address)") { listen(raw, backlog) }
    return try Bound(raw: raw, address: address, isShared: isShared).copy()
  }

  /// The task to wake when a connection may be waiting.
  package var waiter: Waiter? {
    get { socket.waiter }
    set { socket.waiter = newValue }
  }

  /// What came of one `accept`.
  package enum Acceptance {
    /// A connection, and who is at its other end; nil of a unix socket, whose callers have no
    /// address.
    case connection(Socket, peer: SocketAddress?)
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
    let peer = SocketAddress(kernelForm: storage)
    if peer != nil {
      _ = clinux_set_no_delay(raw)
    } else if Int32(storage.ss_family) != AF_UNIX {
      return .skipped(SystemError(call: "accept4", code: EAFNOSUPPORT))
    }
    do throws(SystemError) {
      return .connection(try Socket(descriptor, on: loop), peer: peer)
    } catch {
      return .exhausted(error)
    }
  }

  static let backlog: CInt = 4096
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
    // An IPv6 address is one, `[::]` too: both it and 0.0.0.0 can be listened at.
    if address.isV6 { _ = try SystemError.check("setsockopt") { clinux_set_v6_only(raw) } }
    _ = try SystemError.check("listen \(address)") {
      unsafe address.withKernelForm { unsafe clinux_bind(raw, $0, $1) }
    }
    return descriptor
  }

  /// Where the socket is bound; nil where that is no IP address.
  static func boundAddress(of raw: CInt) -> SocketAddress? {
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
