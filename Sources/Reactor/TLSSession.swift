import COpenSSL
import Glibc

/// One TLS connection over a socket.
///
/// Each method clears the thread's error queue, calls OpenSSL and reads its verdict in one go, with
/// no `await` between: the queue belongs to the thread. After a fatal error nothing more is tried.
@safe package final class TLSSession {
  private let session: OpaquePointer
  private let socket: Socket
  private let output: SealedOutput
  /// Content that was sealed and whose record has not left whole: told of when it has.
  private var unconfirmed = 0
  /// Holds the context that the session's callbacks point at.
  private let server: TLSServerContext?
  private var isBroken = false
  private var isHandshakeDone = false
  private var hasSaidGoodbye = false
  private var clientCertificateRead: ClientCertificate??
  /// Whether OpenSSL may hold bytes that were read ahead: until a read has said that it wants more.
  private(set) var mayHold = false
  /// Whether the peer speaks HTTP in the clear.
  package private(set) var sawClearText = false
  /// What the peer had OpenSSL do since content last came.
  private var idleSteps = 0

  /// The server's side of a connection just accepted.
  package init?(server: TLSServerContext, over socket: Socket) {
    guard let session = unsafe server.makeSession() else {
      TLSErrorQueue.clear()
      return nil
    }
    let output = SealedOutput(socket)
    guard let bio = unsafe SocketBIO.make(over: output) else {
      unsafe SSL_free(session)
      TLSErrorQueue.clear()
      return nil
    }
    unsafe self.session = session
    self.socket = socket
    self.output = output
    self.server = server
    unsafe SSL_set_bio(session, bio, bio)
    unsafe SSL_set_accept_state(session)
    noteSteps()
  }

  /// The client's side, accepting only a certificate for `name`.
  package init?(client: TLSClientContext, name: String, over socket: Socket) {
    guard let session = unsafe client.makeSession(name: name) else { return nil }
    let output = SealedOutput(socket)
    guard let bio = unsafe SocketBIO.make(over: output) else {
      unsafe SSL_free(session)
      TLSErrorQueue.clear()
      return nil
    }
    unsafe self.session = session
    self.socket = socket
    self.output = output
    server = nil
    unsafe SSL_set_bio(session, bio, bio)
    unsafe SSL_set_connect_state(session)
    noteSteps()
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
    if let fault = flush() { return .failed(fault) }
    TLSErrorQueue.clear()
    let result = unsafe SSL_do_handshake(session)
    if result == 1 {
      // Not before the last message has left.
      if !output.isEmpty { return .wouldBlock }
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
    if let fault = flush() { return .failed(fault) }
    if !socket.canRead && !mayHold || output.isFull { return .wouldBlock }
    TLSErrorQueue.clear()
    let target = unsafe buffer.writable
    var count = 0
    let result = unsafe SSL_read_ex(session, target.baseAddress, target.count, &count)
    if result == 1 {
      mayHold = true
      idleSteps = 0
      buffer.commit(count)
      return .bytes(count)
    }
    return verdict(on: result, ofRead: true)
  }

  /// Content stays in the buffer until its record has left whole; the next call has it at the front
  /// again, as whoever writes does with what was not taken.
  func write(from buffer: Buffer) -> Transfer {
    if isBroken { return .failed(.truncated) }
    if let fault = flush() { return .failed(fault) }
    if !output.isEmpty { return .wouldBlock }
    if unconfirmed == 0 {
      if !socket.canWrite { return .wouldBlock }
      let source = unsafe buffer.readableBytes
      // A write of nothing is not defined.
      if unsafe source.isEmpty { return .wouldBlock }
      TLSErrorQueue.clear()
      let result = unsafe SSL_write_ex(
        session, source.baseAddress, source.count, &unconfirmed)
      if result != 1 { return verdict(on: result, ofRead: false) }
      if !output.isEmpty { return .wouldBlock }
    }
    let count = unconfirmed
    unconfirmed = 0
    buffer.consume(count)
    return .bytes(count)
  }

  /// Sends what waits to be sent.
  private func flush() -> StreamFault? {
    guard let fault = output.flush() else { return nil }
    isBroken = true
    return fault
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

  /// Sends `close_notify`, once; what the peer answers is not waited for. Not in the middle of a
  /// handshake's message, nor behind a record that is half sent: OpenSSL refuses both, and a peer
  /// that got no `close_notify` knows that something is missing.
  func close() {
    endWriting()
    isBroken = isBroken || hasSaidGoodbye
  }

  /// The same for a session that is still read from (RFC 8446 §6.1).
  func endWriting() {
    if unsafe isBroken || hasSaidGoodbye || !isHandshakeDone || !output.isEmpty
      || SSL_in_init(session) == 1
    {
      return
    }
    TLSErrorQueue.clear()
    _ = unsafe SSL_shutdown(session)
    TLSErrorQueue.clear()
    hasSaidGoodbye = true
  }

  /// Which certificate the client was given; nil on a client's session.
  package var certificateIndex: Int? {
    unsafe server?.certificateIndex(of: session)
  }

  /// Whether the client was given the certificate that its listener has for a host.
  ///
  /// - Parameters:
  ///   - wanted: the host's certificate in `context`, which the listener has now.
  ///   - context: another one than the session was made by, after a reload. Certificates are
  ///     renewed and change their places there, so the one that the client was given is judged
  ///     among those that it was picked from.
  package func wasGiven(
    _ wanted: Int, of context: TLSServerContext, for host: String
  ) -> Bool {
    guard let server else { return false }
    return certificateIndex == (server === context ? wanted : server.certificateIndex(for: host))
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

  /// Whether the handshake went on from an earlier session, with no new signature.
  package var isResumed: Bool { unsafe SSL_session_reused(session) == 1 }

  private func verdict(on result: CInt, ofRead isRead: Bool) -> Transfer {
    let code = unsafe SSL_get_error(session, result)
    let systemCode = errno
    switch code {
    case SSL_ERROR_WANT_READ:
      // The socket knows that it is empty: it has just said so.
      if isRead { mayHold = false }
      return .wouldBlock
    case SSL_ERROR_WANT_WRITE: return .wouldBlock
    case SSL_ERROR_ZERO_RETURN:
      return .ended
    case SSL_ERROR_SYSCALL:
      isBroken = true
      TLSErrorQueue.clear()
      return .failed(systemCode == 0 ? .truncated : .system(systemCode))
    default:
      isBroken = true
      let first = ERR_peek_error()
      let reason = tollgate_ERR_GET_REASON(first)
      if reason == SSL_R_UNEXPECTED_EOF_WHILE_READING {
        TLSErrorQueue.clear()
        return .failed(.truncated)
      }
      sawClearText = !isHandshakeDone && reason == SSL_R_HTTP_REQUEST
      if idleSteps > Self.idleStepsMax {
        TLSErrorQueue.clear()
        return .failed(.tls("too many messages without content"))
      }
      let words = TLSErrorQueue.takeReason()
      guard reason == SSL_R_CERTIFICATE_VERIFY_FAILED else { return .failed(.tls(words)) }
      // Which of many reasons: it has expired, its name is another, nobody here knows its issuer.
      let code = unsafe SSL_get_verify_result(session)
      let why = unsafe String(cString: X509_verify_cert_error_string(code))
      return .failed(.tls("\(words): \(why)"))
    }
  }

  // Messages behind the handshake.

  /// A KeyUpdate is two or three steps: some forty of them in a row, where a peer that means well
  /// sends one in gigabytes. Tickets of a server come here too.
  private static let idleStepsMax = 128

  /// Has OpenSSL tell of each step of its handshakes, also of those that come later.
  static func watchSteps(of context: OpaquePointer) {
    unsafe SSL_CTX_set_info_callback(context) { session, event, _ in
      guard event & SSL_CB_LOOP != 0, let session = unsafe session,
        let this = unsafe tollgate_SSL_get_app_data(session)
      else { return }
      unsafe Unmanaged<TLSSession>.fromOpaque(this).takeUnretainedValue().noteStep()
    }
  }

  // The pointer goes with the session, which is freed with this object.
  private func noteSteps() {
    _ = unsafe tollgate_SSL_set_app_data(session, Unmanaged.passUnretained(self).toOpaque())
  }

  /// One read of OpenSSL's goes on for as long as nothing but such messages comes: a peer that
  /// sends them fast would have the worker for itself. So the read finds its source gone.
  private func noteStep() {
    guard isHandshakeDone else { return }
    idleSteps += 1
    if idleSteps > Self.idleStepsMax, let bio = unsafe SSL_get_rbio(session) {
      unsafe BIO_set_init(bio, 0)
    }
  }
}
