import HTTP
import Reactor
import Wire

/// Where a connection comes from, as far as its socket and the proxy in front of it say.
struct ConnectionSource {
  enum Address {
    /// The other end's, or what a trusted proxy has told.
    case network(IPAddress)
    /// The other end of a unix socket, which has none.
    case local
  }

  private enum Kind { case v4, v6, local }

  // In halves: Swift 6.3.1 hands a UInt128 to an async function where it is not aligned, and traps.
  private var high: UInt64 = 0
  private var low: UInt64 = 0
  private var kind = Kind.local

  var address: Address {
    get {
      if kind == .local { return .local }
      let bits = UInt128(high) << 64 | UInt128(low)
      return .network(IPAddress(isV6: kind == .v6, bits: bits))
    }
    set {
      switch newValue {
      case .local: kind = .local
      case .network(let address):
        kind = address.isV6 ? .v6 : .v4
        high = UInt64(truncatingIfNeeded: address.bits >> 64)
        low = UInt64(truncatingIfNeeded: address.bits)
      }
    }
  }

  /// Whether the proxy at the other end forwards, or may, for somebody that it does not name: its
  /// own address then stands for that one, and its trust does not.
  var isUnnamed = false

  init(peer: SocketAddress?) {
    address = peer.flatMap { IPAddress(bytes: $0.bytes) }.map { .network($0) } ?? .local
  }
}

/// Reads what a proxy in front says of a connection before its first byte.
struct ProxyAnnouncement {
  enum Failure: Error {
    /// Nothing was said, and there is nothing to tell.
    case gone
    case untrusted
    case late
    case faulty(ProxyHeader.Fault)

    /// For the operator; nil where it is nothing new.
    var text: String? {
      switch self {
      case .gone: nil
      case .untrusted: "it is no trusted proxy"
      case .late: "its PROXY header did not come in time"
      case .faulty(.absent): "it sends no PROXY header"
      case .faulty(.malformed): "its PROXY header is malformed"
      case .faulty(.tooLong): "its PROXY header is too long"
      case .faulty(.checksumWrong): "its PROXY header's checksum is wrong"
      }
    }
  }

  let socket: Socket
  let waiter: Waiter
  let buffers: BufferPool

  /// Where the connection comes from by its header. What follows the header stays in the socket.
  ///
  /// - Parameters:
  ///   - peer: who sends it; only trusted ones are listened to.
  ///   - isEnding: asked after each wait.
  func read(
    after source: ConnectionSource, from peer: Peer, untilMs: Int64, isEnding: () -> Bool
  ) async throws(Failure) -> ConnectionSource {
    guard peer.isTrusted else { throw .untrusted }
    let header = try await header(untilMs: untilMs, isEnding: isEnding)
    var source = source
    switch header {
    case .caller(let address, _): source.address = .network(address)
    // A connection of the proxy's own has its address (§2.2 of the specification), and needs to
    // speak for nobody. It may be somebody else's after all: HAProxy says LOCAL of whom it has
    // from a unix socket.
    case .unknown, .local: source.isUnnamed = true
    }
    return source
  }

  private func header(
    untilMs: Int64, isEnding: () -> Bool
  ) async throws(Failure) -> ProxyHeader {
    while true {
      if let header = try look() { return header }
      let isSignalled = await waiter.wait(untilMs: untilMs)
      if !isSignalled { throw .late }
      if isEnding() { throw .gone }
    }
  }

  /// Without a buffer between looks: whoever says nothing holds none.
  private func look() throws(Failure) -> ProxyHeader? {
    let buffer = buffers.take()
    defer { buffers.give(buffer) }
    switch socket.peek(into: buffer) {
    case .wouldBlock: return nil
    case .ended, .failed: throw .gone
    case .bytes: break
    }
    let outcome: ProxyHeader.Outcome
    do throws(ProxyHeader.Fault) {
      outcome = try ProxyHeader.parse(buffer.readable)
    } catch {
      throw .faulty(error)
    }
    switch outcome {
    case .header(let header, let byteCount):
      socket.take(byteCount, from: buffer)
      return header
    case .incomplete:
      // What was looked at is all that there will be.
      if socket.hasPeerEnded { throw .gone }
      return nil
    }
  }
}
