/// Whom an http or https URL speaks to (RFC 6454 §4): ASCII throughout, the host in lower case.
package struct HTTPOrigin: Hashable, Sendable {
  /// https.
  package let isSecure: Bool
  /// A name without its trailing dot, or an address without brackets.
  package let host: String
  package let port: UInt16
  /// The host, where it is an address.
  package let address: IPAddress?

  package var scheme: String { isSecure ? "https" : "http" }

  package var hasDefaultPort: Bool { port == (isSecure ? 443 : 80) }

  /// The host, in brackets where IPv6 needs them, and the port where it is not the scheme's own:
  /// what a `Host` field says (RFC 9110 §7.2).
  package var authority: String {
    let host = address?.isV6 == true ? "[\(host)]" : host
    return hasDefaultPort ? host : "\(host):\(port)"
  }

  /// An address that does not leave this machine, or `localhost` (RFC 6761 §6.3).
  package var isLoopback: Bool { HostName.isLoopback(host, address) }
}

extension HTTPOrigin: CustomStringConvertible {
  package var description: String { "\(scheme)://\(authority)" }
}

/// An http or https URL (RFC 3986, RFC 9110 §4.2) without userinfo and without a fragment.
package struct HTTPURL: Hashable, Sendable {
  package enum Fault: Error, Equatable {
    /// Neither `http://` nor `https://`.
    case scheme
    case userinfo
    case host
    case port
    case fragment
    /// A byte that a URL can't hold, or a broken percent-escape.
    case character
  }

  package let origin: HTTPOrigin
  /// Path and query as they were written, "" where there is neither.
  package let suffix: String

  /// The request target (RFC 9112 §3.2.1): the suffix, with a path in any case.
  package var target: String {
    suffix.utf8.first == UInt8(ascii: "/") ? suffix : "/\(suffix)"
  }

  package init(_ text: String) throws(Fault) {
    let bytes = Array(text.utf8)
    guard let start = URLStart(bytes, plain: "http", secure: "https") else { throw .scheme }
    let isSecure = start.isSecure
    let authority = bytes[start.authority]
    let end = start.authority.upperBound
    if authority.contains(UInt8(ascii: "@")) { throw .userinfo }
    if bytes[end...].contains(UInt8(ascii: "#")) { throw .fragment }
    guard Self.isWellFormed(bytes[end...]) else { throw .character }
    guard let (name, port) = HostAndPort.split(authority) else { throw .host }
    guard let host = HostName(name) else { throw .host }
    var number: UInt16 = isSecure ? 443 : 80
    if let port {
      guard let given = HostAndPort.port(port), given > 0 else { throw .port }
      number = given
    }
    origin = HTTPOrigin(
      isSecure: isSecure, host: host.text, port: number, address: host.address)
    suffix = String(decoding: bytes[end...], as: UTF8.self)
  }

  /// RFC 3986 §3.3 and §3.4: pchar, `/` and `?`.
  private static func isWellFormed(_ bytes: ArraySlice<UInt8>) -> Bool {
    var escape = 0
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
        UInt8(ascii: "A")...UInt8(ascii: "F"):
        escape = max(0, escape - 1)
      case _ where escape > 0: return false
      case UInt8(ascii: "%"): escape = 2
      case UInt8(ascii: "g")...UInt8(ascii: "z"), UInt8(ascii: "G")...UInt8(ascii: "Z"): break
      case _ where "-._~!$&'()*+,;=:@/?".utf8.contains(byte): break
      default: return false
      }
    }
    return escape == 0
  }
}

extension HTTPURL: CustomStringConvertible {
  package var description: String { "\(origin)\(suffix)" }
}
