import CLinux
import Glibc

/// What one try to move bytes came to. A closed list, so that each caller thinks of each.
package enum Transfer: Equatable {
  /// So many bytes moved, at least one.
  case bytes(Int)
  /// Nothing now; wait for an event on the socket.
  case wouldBlock
  /// The peer ended its side in an orderly way.
  case ended
  /// The connection is broken.
  case failed(StreamFault)
}

/// Why a connection broke.
package enum StreamFault: Error, Equatable, Sendable {
  /// The kernel's `errno`.
  case system(CInt)
  /// OpenSSL's reason, in its words; never anything the peer chose.
  case tls(String)
  /// TCP ended without the `close_notify` of TLS: what was read may have been cut short.
  case truncated

  /// For the log.
  package var text: String {
    switch self {
    case .system(let code): SystemError.text(of: code)
    case .tls(let reason): "TLS: \(reason)"
    case .truncated: "TLS: the connection ended without close_notify"
    }
  }
}

/// A non-blocking stream socket, registered with its loop once, for everything, edge-triggered.
///
/// Reads and writes are tried first; only what the kernel refused waits. A read that returned less
/// than it asked for emptied the socket, so the next read waits without a failing system call,
/// unless the peer's end came with the same edge: that is only seen by reading on.
package final class Socket {
  /// The descriptor's number, for OpenSSL and options; this object closes it.
  package let raw: CInt
  /// The task to wake when anything changes; nil while nobody cares.
  package var waiter: Waiter?
  /// Whether a read may give something; false means: wait for an event first.
  package private(set) var canRead = true
  /// Whether a write may take something.
  package private(set) var canWrite = true
  /// Whether the peer has ended its sending side, or all (RDHUP, HUP, ERR).
  package private(set) var hasPeerEnded = false

  private let loop: EventLoop
  private let descriptor: FileDescriptor
  // Nobody's: where the loop refuses the socket it goes with this token still.
  private var token = UInt64.max

  /// Registers `descriptor` with the loop.
  ///
  /// - Parameter isShared: it is a listening socket that other loops watch too.
  /// - Throws: `epoll_ctl`'s refusal (ENOMEM, ENOSPC); the descriptor is closed then.
  package init(
    _ descriptor: consuming FileDescriptor, on loop: EventLoop, isShared: Bool = false
  ) throws(SystemError) {
    raw = descriptor.raw
    self.descriptor = descriptor
    self.loop = loop
    token = try loop.register(self, isShared: isShared)
  }

  deinit { loop.unregister(self, token) }

  /// Two sockets that are each other's far end, of one process.
  ///
  /// - Throws: `socketpair`'s refusal (EMFILE, ENFILE, ENOMEM).
  package static func pair(on loop: EventLoop) throws(SystemError) -> (Socket, Socket) {
    var ends: [CInt] = [-1, -1]
    let kinds = [SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC]
    let type = kinds.reduce(CInt(0)) { $0 | CInt($1.rawValue) }
    _ = try SystemError.check("socketpair") { unsafe socketpair(AF_UNIX, type, 0, &ends) }
    let other = FileDescriptor(adopting: ends[1])
    let one = try Socket(FileDescriptor(adopting: ends[0]), on: loop)
    return (one, try Socket(other, on: loop))
  }

  /// Notes what epoll reported and wakes the task.
  func mark(_ events: UInt32) {
    if events & clinux_epollin != 0 { canRead = true }
    if events & clinux_epollout != 0 { canWrite = true }
    if events & (clinux_epollrdhup | clinux_epollhup | clinux_epollerr) != 0 {
      hasPeerEnded = true
      canRead = true
      canWrite = true
    }
    waiter?.signal()
  }

  func markDrained() { canRead = false }

  func markFull() { canWrite = false }

  /// Reads what there is into the buffer's room.
  package func read(into buffer: Buffer) -> Transfer {
    if !canRead { return .wouldBlock }
    let target = unsafe buffer.writable
    precondition(unsafe !target.isEmpty, "a read needs room")
    let transfer = unsafe receive(into: target)
    if case .bytes(let count) = transfer { buffer.commit(count) }
    return transfer
  }

  /// Fills the buffer with what there is, and leaves it there. After `.bytes` the next look waits
  /// until more has come; `take` takes what was looked at.
  package func peek(into buffer: Buffer) -> Transfer {
    if !canRead { return .wouldBlock }
    buffer.removeAll()
    let target = unsafe buffer.writable
    let transfer = attempt { unsafe clinux_peek(raw, target.baseAddress, target.count) }
    if case .bytes(let count) = transfer {
      canRead = false
      buffer.commit(count)
    }
    return transfer
  }

  /// Reads as many of the bytes that `peek` has put into the buffer, and no more; they are gone
  /// from both.
  package func take(_ count: Int, from buffer: Buffer) {
    precondition(count > 0 && count <= buffer.count)
    buffer.removeAll()
    let target = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.writable.prefix(count))
    canRead = true
    _ = unsafe receive(into: target)
    canRead = true
  }

  /// Writes what the buffer holds and consumes what was taken.
  package func write(from buffer: Buffer) -> Transfer {
    let transfer = unsafe send(buffer.readableBytes)
    if case .bytes(let count) = transfer { buffer.consume(count) }
    return transfer
  }

  /// Reads into memory, which must not be empty.
  func receive(into target: UnsafeMutableRawBufferPointer) -> Transfer {
    if !canRead { return .wouldBlock }
    let transfer = attempt { unsafe clinux_receive(raw, target.baseAddress, target.count) }
    if case .bytes(let count) = transfer, count < target.count, !hasPeerEnded { canRead = false }
    return transfer
  }

  /// Reads, again where a signal cut it short, and notes where there was nothing.
  @inline(__always) private func attempt(_ read: () -> Int) -> Transfer {
    while true {
      let count = read()
      if count > 0 { return .bytes(count) }
      if count == 0 { return .ended }
      switch errno {
      case EINTR: continue
      case EAGAIN:
        canRead = false
        return .wouldBlock
      case let code: return .failed(.system(code))
      }
    }
  }

  /// Writes memory.
  func send(_ source: UnsafeRawBufferPointer) -> Transfer {
    if !canWrite { return .wouldBlock }
    while true {
      let count = unsafe clinux_send(raw, source.baseAddress, source.count)
      if count >= 0 { return .bytes(count) }
      switch errno {
      case EINTR: continue
      case EAGAIN:
        canWrite = false
        return .wouldBlock
      case let code: return .failed(.system(code))
      }
    }
  }

  /// Bytes that were written and that the peer has not taken yet; 0 where the kernel can't say.
  package var outgoingCount: Int { max(0, Int(clinux_outgoing(raw))) }

  /// Tells whether an idle connection is still good: nothing came, and it has not ended.
  package func isQuiet() -> Bool {
    if hasPeerEnded { return false }
    if !canRead { return true }
    canRead = clinux_is_quiet(raw) == 0
    return !canRead
  }

  /// Ends the sending side; the peer reads an orderly end.
  package func shutDownWriting() { _ = shutdown(raw, Int32(SHUT_WR)) }

  /// Makes the close that follows reset the connection: the peer must not take what it has for
  /// whole.
  package func resetOnClose() { _ = clinux_set_reset_on_close(raw) }
}
