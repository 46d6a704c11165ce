import COpenSSL
import Crypto
import Glibc
import TestSupport
import Testing

@testable import Reactor

/// A certificate for some names with its key, both PEM.
struct TestIdentity: Sendable {
  let chain: [UInt8]
  let key: [UInt8]

  init(_ hosts: [String], addresses: [String] = [], kind: PrivateKey.Kind = .p256) throws {
    let key = try PrivateKey(generate: kind)
    chain = try SelfSignedCertificate.makePEM(
      key: key, hosts: hosts, addresses: addresses, now: Int(Clock.wallMs() / 1_000), days: 2)
    self.key = try key.makePEM()
  }

  var identity: TLSServerContext.Identity { .init(chain: chain, key: key) }
}

extension TLSServerContext {
  convenience init(
    _ identities: TestIdentity..., minimum: MinimumVersion = .tls12,
    tickets: TicketKeys = TicketKeys()
  ) throws(Failure) {
    try self.init(
      identities: identities.map(\.identity), minimum: minimum, tickets: tickets)
  }
}

extension TLSSession {
  /// Goes through the handshake, waiting where it must.
  func shakeHands(_ waiter: Waiter) async throws -> Step {
    while true {
      let step = handshake()
      guard step == .wouldBlock else { return step }
      guard await waiter.wait(untilMs: waiter.loop.nowMs + Stage.patienceMs) else {
        throw Impatience("a handshake")
      }
    }
  }
}

extension ByteStream {
  func readWaiting(into buffer: Buffer, _ waiter: Waiter) async throws -> Transfer {
    while true {
      let transfer = read(into: buffer)
      guard transfer == .wouldBlock else { return transfer }
      guard await waiter.wait(untilMs: waiter.loop.nowMs + Stage.patienceMs) else {
        throw Impatience("something to read")
      }
    }
  }

  func writeWaiting(from buffer: Buffer, _ waiter: Waiter) async throws {
    while !buffer.isEmpty {
      switch write(from: buffer) {
      case .bytes: continue
      case .wouldBlock:
        guard await waiter.wait(untilMs: waiter.loop.nowMs + Stage.patienceMs) else {
          throw Impatience("room to write")
        }
      case .ended: throw Impatience("room, not the end")
      case .failed(let fault): throw fault
      }
    }
  }
}

/// A session of OpenSSL's own, lent for as long as a closure runs.
@safe struct PlainSession {
  let ssl: OpaquePointer

  func write(_ text: String) -> Bool {
    unsafe SSL_write(ssl, text, CInt(text.utf8.count)) == CInt(text.utf8.count)
  }

  /// Asks for new keys in both directions; what that sends goes out with the next write.
  func requestKeyUpdate() -> Bool { unsafe SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 }

  func updateKeys() -> Bool { unsafe requestKeyUpdate() && SSL_do_handshake(ssl) == 1 }
}

/// A client of OpenSSL's own on a blocking socket, for what the gateway's client never does.
struct PlainClient: Sendable {
  var serverName: String?
  var protocols: [String] = []
  /// Both ends of the versions offered.
  var version: CInt?
  /// In the form of `i2d_SSL_SESSION`.
  var session: [UInt8] = []
  /// What it does between the handshake and its reading.
  var then: @Sendable (PlainSession) -> Void = { _ in }

  struct Outcome: Sendable {
    var isConnected = false
    /// The first error's reason where it is not.
    var reason: CInt = 0
    var chosen = ""
    var isResumed = false
    var received: [UInt8] = []
    var session: [UInt8] = []
  }

  /// Shakes hands, reads to the end of the stream, and says what it saw.
  func run(over peer: FarEnd) -> Outcome {
    var outcome = Outcome()
    guard let context = unsafe SSL_CTX_new(TLS_client_method()),
      let ssl = unsafe SSL_new(context)
    else { return outcome }
    defer {
      unsafe SSL_free(ssl)
      unsafe SSL_CTX_free(context)
    }
    if let serverName { _ = unsafe tollgate_SSL_set_tlsext_host_name(ssl, serverName) }
    if let version {
      _ = unsafe tollgate_SSL_set_min_proto_version(ssl, version)
      _ = unsafe tollgate_SSL_set_max_proto_version(ssl, version)
    }
    if !protocols.isEmpty {
      let list = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
      _ = unsafe SSL_set_alpn_protos(ssl, list, UInt32(list.count))
    }
    if !session.isEmpty {
      unsafe session.withUnsafeBufferPointer { bytes in
        var next = bytes.baseAddress
        if let old = unsafe d2i_SSL_SESSION(nil, &next, bytes.count) {
          _ = unsafe SSL_set_session(ssl, old)
          unsafe SSL_SESSION_free(old)
        }
      }
    }
    _ = unsafe SSL_set_fd(ssl, peer.raw)
    ERR_clear_error()
    guard unsafe SSL_connect(ssl) == 1 else {
      outcome.reason = tollgate_ERR_GET_REASON(ERR_peek_error())
      ERR_clear_error()
      return outcome
    }
    outcome.isConnected = true
    outcome.isResumed = unsafe SSL_session_reused(ssl) == 1
    then(unsafe PlainSession(ssl: ssl))
    var name: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    unsafe SSL_get0_alpn_selected(ssl, &name, &count)
    outcome.chosen = unsafe String(
      decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    var bytes = [UInt8](repeating: 0, count: 4_096)
    while true {
      let got = unsafe SSL_read(ssl, &bytes, CInt(bytes.count))
      if got <= 0 { break }
      outcome.received += bytes[..<Int(got)]
    }
    if let taken = unsafe SSL_get1_session(ssl) {
      let length = unsafe i2d_SSL_SESSION(taken, nil)
      outcome.session = [UInt8](repeating: 0, count: Int(max(0, length)))
      unsafe outcome.session.withUnsafeMutableBufferPointer { bytes in
        var next = bytes.baseAddress
        _ = unsafe i2d_SSL_SESSION(taken, &next)
      }
      unsafe SSL_SESSION_free(taken)
    }
    ERR_clear_error()
    return outcome
  }
}

/// One handshake of the gateway's server side with OpenSSL's client.
func serve(
  _ context: TLSServerContext, to client: PlainClient, sending text: String = "hello"
) async throws -> (
  server: TLSSession.Step, certificate: Int?, version: String, client: PlainClient.Outcome
) {
  try await Stage.run { stage in
    let (socket, peer) = try FarEnd.pair(on: stage.loop)
    let outcome = Latch<PlainClient.Outcome>()
    let thread = try WorkerThread.start("client") { outcome.set(client.run(over: peer)) }
    let waiter = stage.makeWaiter()
    socket.waiter = waiter
    let session = try #require(TLSSession(server: context, over: socket))
    let step = try await session.shakeHands(waiter)
    if step == .done {
      let stream = ByteStream(socket, tls: session)
      try await stream.writeWaiting(from: Buffer(text, capacity: 100), waiter)
      stream.shutDown()
    } else {
      socket.shutDownWriting()
    }
    thread.join()
    #expect(ERR_peek_error() == 0, "the thread's queue belongs to others")
    return (step, session.certificateIndex, session.version, try #require(outcome.value))
  }
}

/// A handshake of the gateway's client with the gateway's server, on one loop.
func connect(
  _ client: TLSClientContext, name: String, to server: TLSServerContext,
  then body:
    @escaping @Sendable (isolated Stage, ByteStream, ByteStream, Waiter) async throws ->
    Void = { _, _, _, _ in }
) async throws -> TLSSession.Step {
  try await Stage.run { stage in
    let (one, other) = try FarEnd.twoOfOurs(on: stage.loop)
    let waiter = stage.makeWaiter()
    one.waiter = waiter
    other.waiter = waiter
    let clientSession = try #require(TLSSession(client: client, name: name, over: one))
    let serverSession = try #require(TLSSession(server: server, over: other))
    #expect(clientSession.certificateIndex == nil)
    while true {
      let mine = clientSession.handshake()
      if case .failed = mine { return mine }
      let theirs = serverSession.handshake()
      if case .failed = theirs { return theirs }
      if mine == .done, theirs == .done { break }
      guard await waiter.wait(untilMs: stage.patience) else { throw Impatience("a handshake") }
    }
    try await body(
      stage, ByteStream(one, tls: clientSession), ByteStream(other, tls: serverSession), waiter)
    #expect(ERR_peek_error() == 0)
    return .done
  }
}
