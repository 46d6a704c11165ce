import HTTP
import Reactor
import Wire

/// One request on its way through: what was received, and what its access log line will say.
///
/// There is one object a connection, used for one request after the other; its arrays keep their
/// room.
final class Request {
  let connection: ServerConnection
  let listener: Listener
  /// The peer's address as text, and as JSON text with its quotes.
  let peer: Peer
  /// The path, normalised; `merged` is what is matched.
  var path = NormalisedPath()
  /// Lower case, without port or trailing dot; empty only in HTTP/1.0.
  var host: [UInt8] = []
  var port: UInt16?
  /// 32 hexadecimal digits, or what a trusted proxy sent.
  var id: [UInt8] = []
  /// The client's address as text: the peer's, or what a trusted proxy says.
  var client: [UInt8] = []
  /// Where the caller's token is, and the token itself where it stands there escaped.
  var tokenSource = TokenSource.header
  var unescapedToken: [UInt8] = []
  /// What the answer says to pages of other origins; nil where the route says nothing of them.
  var cors: CORS.Grant?
  /// The protocol that the caller asks for and the route allows, in lower case.
  var upgrade: [UInt8]?
  /// Its part in a trace; nil where `tracing` is not configured.
  var trace: RequestTrace?
  var record = AccessRecord()

  init(_ connection: ServerConnection, listener: Listener, peer: Peer) {
    self.connection = connection
    self.listener = listener
    self.peer = peer
  }

  /// Begins another request.
  func reset(startedNs: Int64) {
    record = AccessRecord()
    record.startedNs = startedNs
    record.startedTurn = connection.waiter.loop.turn
    record.bytesReadBefore = connection.bytesRead
    record.bytesWrittenBefore = connection.bytesWritten
    host.removeAll(keepingCapacity: true)
    port = nil
    tokenSource = .header
    if !unescapedToken.isEmpty { unescapedToken = [] }
    cors = nil
    if upgrade != nil { upgrade = nil }
    if trace != nil { trace = nil }
  }

  var method: Method { connection.head.method }

  /// The port that the caller wants: the scheme's own where it names none.
  var wantedPort: UInt16 { port ?? (listener.tls == nil ? 80 : 443) }

  /// The subject of the certificate that the caller has shown on this connection and that the
  /// listener takes; read once a connection.
  var tlsSubject: [UInt8]? { connection.stream.tls?.clientCertificate?.subject }

  /// The method's bytes, copied.
  var methodBytes: [UInt8] { bytes(connection.head.methodRange) }

  /// Bytes of the head, copied.
  func bytes(_ range: Range<Int>) -> [UInt8] {
    let buffer = connection.received
    let span = buffer.slice(range)
    return [UInt8](copying: span)
  }
}

/// Who is at the other end of a connection.
struct Peer {
  /// As text.
  let address: [UInt8]
  let isTrusted: Bool
  /// Whether it is a process of this machine that came by a unix socket: it has no address.
  var isLocal = false

  /// What stands for the address of such a one.
  static let local = Array("unix:".utf8)
}

/// A listener as one worker uses it.
final class Listener {
  let index: Int
  let name: String
  let nameJSON: [UInt8]
  let tls: TLSServerContext?
  let handshakeTimeoutMs: Int64
  /// Whether a connection begins with a PROXY header.
  let takesProxyHeader: Bool
  /// Whether who comes by this unix socket counts as a trusted proxy.
  let isTrusted: Bool

  init(
    _ settings: ListenerSettings, index: Int, tls: TLSServerContext?, handshakeTimeoutMs: Int64
  ) {
    self.index = index
    name = settings.name
    var json: [UInt8] = []
    JSONWriter.appendString(settings.name, to: &json)
    nameJSON = json
    self.tls = tls
    self.handshakeTimeoutMs = handshakeTimeoutMs
    takesProxyHeader = settings.takesProxyHeader
    isTrusted = settings.isTrusted
  }

  /// Whether a connection that came in by one would have come in by the other.
  func admitsAlike(_ other: Listener) -> Bool {
    guard takesProxyHeader == other.takesProxyHeader, isTrusted == other.isTrusted else {
      return false
    }
    guard let tls, let otherTLS = other.tls else { return tls == nil && other.tls == nil }
    return tls.admitsAlike(otherTLS)
  }
}

extension NormalisedPath {
  /// The path that goes on: the one that was matched, with its empty segments where the route
  /// keeps them.
  func forwarded(_ rules: PathRules) -> [UInt8] {
    rules.emptySegments == .keep ? unmerged ?? merged : merged
  }

  /// What follows so many segments and a slash; never begins with a slash.
  func rest(after segmentCount: Int) -> ArraySlice<UInt8> {
    var rest = merged[...].dropFirst()
    for _ in 0..<segmentCount {
      guard let slash = rest.firstIndex(of: UInt8(ascii: "/")) else { return [] }
      rest = rest[(slash + 1)...]
    }
    return rest
  }
}
