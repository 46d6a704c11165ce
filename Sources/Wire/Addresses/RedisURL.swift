/// Where a Redis server is: `redis://host:port/database`, or `rediss://` for TLS. User and password
/// are no part of it here.
package struct RedisURL: Hashable, Sendable {
  package enum Fault: Error, Equatable {
    /// Neither `redis://` nor `rediss://`.
    case scheme
    case userinfo
    case host
    case port
    /// Behind the host stands something else than a number.
    case database
  }

  package let isSecure: Bool
  package let host: HostName
  package let port: UInt16
  package let database: Int

  package init(_ text: UTF8Text) throws(Fault) {
    let bytes = text.bytes
    let start: Int
    if Self.hasPrefix(bytes, "rediss://") {
      (isSecure, start) = (true, 9)
    } else if Self.hasPrefix(bytes, "redis://") {
      (isSecure, start) = (false, 8)
    } else {
      throw .scheme
    }
    let end =
      bytes[start...].firstIndex {
        $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#")
      } ?? bytes.count
    // Also where a password holds one of those characters.
    if bytes[start...].contains(UInt8(ascii: "@")) { throw .userinfo }
    guard let (name, digits) = HostAndPort.split(bytes[start..<end]), let host = HostName(name)
    else { throw .host }
    self.host = host
    if let digits {
      guard let given = HostAndPort.port(digits), given > 0 else { throw .port }
      port = given
    } else {
      port = 6379
    }
    let path = bytes[end...]
    if path.isEmpty || path.elementsEqual("/".utf8) {
      database = 0
      return
    }
    let number = Array(path.dropFirst())
    guard path.first == UInt8(ascii: "/"), let parsed = Decimal.parse(number.span),
      parsed <= 1_000_000
    else { throw .database }
    database = Int(parsed)
  }

  private static func hasPrefix(_ bytes: [UInt8], _ prefix: String) -> Bool {
    UTF8Text(Array(bytes.prefix(prefix.utf8.count))).equalsIgnoringASCIICase(UTF8Text(prefix))
  }

  /// An address that does not leave this machine, or `localhost` (RFC 6761 §6.3).
  package var isLoopback: Bool {
    if let address = host.address { return address.isLoopback }
    return host.text == "localhost" || host.text.hasSuffix(".localhost")
  }
}

extension RedisURL: CustomStringConvertible {
  package var description: String {
    let name = host.address?.isV6 == true ? "[\(host.text)]" : host.text
    let path = database == 0 ? "" : "/\(database)"
    return "\(isSecure ? "rediss" : "redis")://\(name):\(port)\(path)"
  }
}
