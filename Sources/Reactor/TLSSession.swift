import COpenSSL
import Glibc

/// One TLS connection over a socket.
///
/// Each method clears the thread's error queue, calls OpenSSL and reads its verdict in one go, with
/// no `await` between: the queue belongs to the thread. After a fatal error nothing more is tried.
@safe package final class TLSSession {
  private let session: OpaquePointer
  private let socket: Socket
  /// Holds the context that the session's callbacks point at.
  private let server: TLSServerContext?
  private var isBroken = false
  private var isHandshakeDone = false
  private var readNeedsWrite = false
  private var clientCertificateRead: ClientCertificate??
  /// Whether OpenSSL may hold bytes that were read ahead: until a read has said that it wants more.
  private(set) var mayHold = false

  /// The server's side of a connection just accepted.
  package init?(server: TLSServerContext, over socket: Socket) {
    guard let session = unsafe server.makeSession() else {
      TLSErrorQueue.clear()
      return nil
    }
    guard let bio = unsafe SocketBIO.make(over: socket) else {
      unsafe SSL_free(session)
      TLSErrorQueue.clear()
      return nil
    }
    unsafe self.session = session
    self.socket = socket
    self.server = server
    unsafe SSL_set_bio(session, bio, bio)
    unsafe SSL_set_accept_state(session)
  }

  /// The client's side, accepting only a certificate for `name`.
  package init?(client: TLSClientContext, name: String, over socket: Socket) {
    guard let session = unsafe client.makeSession(name: name) else { return nil }
    guard let bio = unsafe SocketBIO.make(over: socket) else {
      unsafe SSL_free(session)
      TLSErrorQueue.clear()
      return nil
    }
    unsafe self.session = session
    self.socket = socket
    server = nil
    unsafe SSL_set_bio(session, bio, bio)
    unsafe SSL_set_connect_state(session)
  }

  // Before the socket closes, so that nothing of this session goes to a stranger's descriptor.
  deinit { unsafe SSL_free(session) }

  /// What one step of the handshake came to.
  package enum Step: Equatable {
    case done, wouldBlock
    case failed(StreamFault)
  }

  /// Goes on with the handshake.
  package func handshake() -> Step {
    TLSErrorQueue.clear()
    let result = unsafe SSL_do_handshake(session)
    if result == 1 {
      isHandshakeDone = true
      // What came behind the handshake's last message was read with it, and no event will tell.
      mayHold = true
      return .done
    }
    switch verdict(on: result, ofRead: true) {
    case .wouldBlock: return .wouldBlock
    case .failed(let fault): return .failed(fault)
    case .ended, .bytes: return .failed(.truncated)
    }
  }

  func read(into buffer: Buffer) -> Transfer {
    if isBroken { return .failed(.truncated) }
    if !socket.canRead, !mayHold, !(readNeedsWrite && socket.canWrite) { return .wouldBlock }
    readNeedsWrite = false
    TLSErrorQueue.clear()
    let target = unsafe buffer.writable
    var count = 0
    let result = unsafe SSL_read_ex(session, target.baseAddress, target.count, &count)
    if result == 1 {
      mayHold = true
      buffer.commit(count)
      return .bytes(count)
    }
    return verdict(on: result, ofRead: true)
  }

  func write(from buffer: Buffer) -> Transfer {
    if isBroken { return .failed(.truncated) }
    if !socket.canWrite { return .wouldBlock }
    let source = unsafe buffer.readableBytes
    // A write of nothing is not defined.
    if unsafe source.isEmpty { return .wouldBlock }
    TLSErrorQueue.clear()
    var count = 0
    let result = unsafe SSL_write_ex(session, source.baseAddress, source.count, &count)
    if result == 1 {
      buffer.consume(count)
      return .bytes(count)
    }
    return verdict(on: result, ofRead: false)
  }

  /// Whether an idle session is still good: it has not ended, and no byte of data came. Reads what
  /// is no data, such as tickets.
  func isQuiet() -> Bool {
    if isBroken { return false }
    if !socket.canRead, !mayHold { return true }
    TLSErrorQueue.clear()
    var byte: UInt8 = 0
    var count = 0
    let result = unsafe SSL_peek_ex(session, &byte, 1, &count)
    if result == 1 {
      mayHold = true
      return false
    }
    return verdict(on: result, ofRead: true) == .wouldBlock
  }

  /// Sends `close_notify`, once; what the peer answers is not waited for.
  func close() {
    if isBroken || !isHandshakeDone { return }
    TLSErrorQueue.clear()
    _ = unsafe SSL_shutdown(session)
    TLSErrorQueue.clear()
    isBroken = true
  }

  /// Which certificate the client was given; nil on a client's session.
  package var certificateIndex: Int? {
    unsafe server?.certificateIndex(of: session)
  }

  /// The certificate that the client has proved to be its own; nil where it showed none, where it
  /// was not asked, and before the handshake is done. Read once.
  package var clientCertificate: ClientCertificate? {
    if let known = clientCertificateRead { return known }
    guard isHandshakeDone else { return nil }
    let read =
      if let server, server.asksClients { unsafe ClientCertificate(of: session) } else {
        nil as ClientCertificate?
      }
    clientCertificateRead = .some(read)
    return read
  }

  /// The version for the log: "TLSv1.3".
  package var version: String { unsafe String(cString: SSL_get_version(session)) }

  private func verdict(on result: CInt, ofRead isRead: Bool) -> Transfer {
    let code = unsafe SSL_get_error(session, result)
    let systemCode = errno
    switch code {
    case SSL_ERROR_WANT_READ:
      // The socket knows that it is empty: it has just said so.
      if isRead { mayHold = false }
      return .wouldBlock
    case SSL_ERROR_WANT_WRITE:
      readNeedsWrite = isRead
      return .wouldBlock
    case SSL_ERROR_ZERO_RETURN:
      return .ended
    case SSL_ERROR_SYSCALL:
      isBroken = true
      TLSErrorQueue.clear()
      return .failed(systemCode == 0 ? .truncated : .system(systemCode))
    default:
      isBroken = true
      let first = ERR_peek_error()
      if tollgate_ERR_GET_REASON(first) == SSL_R_UNEXPECTED_EOF_WHILE_READING {
        TLSErrorQueue.clear()
        return .failed(.truncated)
      }
      return .failed(.tls(TLSErrorQueue.takeReason()))
    }
  }
}
