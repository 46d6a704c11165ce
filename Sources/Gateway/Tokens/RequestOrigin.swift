import HTTP
import Reactor
import Wire

/// Where a request with a token from a cookie was made.
///
/// A browser sends cookies along with what any page asks of a host, so a cookie alone does not say
/// that its owner wanted the request. The page's origin does, which every browser tells where a
/// request can change something (RFC 6454 §7; Fetch, "Origin header").
enum RequestOrigin {
  /// - Parameter cors: the route's; the origins that it names are as good as the request's own.
  /// - Throws: `origin_refused` for what may change something and does not come from a page of
  ///   the request's own origin, or of one that the route names.
  static func check(_ request: Request, cors: CORS?) throws(Refusal) {
    let head = request.connection.head
    switch head.method {
    // RFC 6455 §10.2: a WebSocket's handshake is a GET, and what follows is not.
    case .get, .head, .options: if !head.upgradeRequested { return }
    case .post, .put, .delete, .patch, .trace, .connect, .other: break
    }
    if let cors, let origin = request.origin, cors.lists(request.connection.received, origin) {
      return
    }
    guard isOwn(request) else { throw Refusal(.originRefused) }
  }

  /// Whether the one Origin is what the browser asked for: scheme, host and port.
  private static func isOwn(_ request: Request) -> Bool {
    let received = request.connection.received
    guard let found = request.origin else { return false }
    let isSecure = isSecure(request)
    let scheme = Array((isSecure ? "https://" : "http://").utf8)
    guard found.count > scheme.count else { return false }
    for (index, byte) in scheme.enumerated()
    where ByteClass.lowercased(received.readable[found.lowerBound + index]) != byte {
      return false
    }
    let start = found.lowerBound + scheme.count
    guard let origin = authority(received, start..<found.upperBound),
      let own = authority(of: request)
    else { return false }
    return origin.isSame(as: own, defaultPort: isSecure ? 443 : 80)
  }

  /// What a trusted proxy says that it was asked for, else what this request asks for.
  private static func authority(of request: Request) -> Authority? {
    let head = request.connection.head
    let received = request.connection.received
    if request.peer.isTrusted, let line = head.first(.xForwardedHost), !line.value.isEmpty {
      return authority(received, line.value)
    }
    return head.authority
  }

  private static func authority(_ received: Buffer, _ range: Range<Int>) -> Authority? {
    var authority = Authority()
    do throws(Authority.Fault) {
      try authority.parse(received.slice(range))
    } catch {
      return nil
    }
    return authority
  }

  private static func isSecure(_ request: Request) -> Bool {
    if request.peer.isTrusted, let line = request.connection.head.first(.xForwardedProto) {
      let received = request.connection.received
      let https = Array("https".utf8)
      return line.value.count == https.count
        && https.indices.allSatisfy {
          ByteClass.lowercased(received.readable[line.value.lowerBound + $0]) == https[$0]
        }
    }
    return request.listener.tls != nil
  }
}
