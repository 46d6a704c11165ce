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
    guard let start = URLStart(bytes, plain: "redis", secure: "rediss") else { throw .scheme }
    isSecure = start.isSecure
    // Also behind what ends the authority: a password may hold that.
    if bytes[start.authority.lowerBound...].contains(UInt8(ascii: "@")) { throw .userinfo }
    guard let (name, digits) = HostAndPort.split(bytes[start.authority]), let host = HostName(name)
    else { throw .host }
    self.host = host
    if let digits {
      guard let given = HostAndPort.port(digits), given > 0 else { throw .port }
      port = given
    } else {
      port = 6379
    }
    let path = bytes[start.authority.upperBound...]
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

  package var isLoopback: Bool { host.isLoopback }
}

extension RedisURL: CustomStringConvertible {
  package var description: String {
    let name = host.address?.isV6 == true ? "[\(host.text)]" : host.text
    let path = database == 0 ? "" : "/\(database)"
    return "\(isSecure ? "rediss" : "redis")://\(name):\(port)\(path)"
  }
}
