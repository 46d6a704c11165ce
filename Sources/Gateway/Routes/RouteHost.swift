package import Wire

/// A route's `match.host`. An exact host goes before a wildcard, and that before any.
package struct RouteHost: Hashable, Sendable {
  package enum Name: Hashable, Sendable {
    case any
    /// Lower case, without trailing dot; IPv6 without brackets.
    case exact(UTF8Text)
    /// `*.example.com`, exactly one label more, held as `.example.com`.
    case oneLabelMore(suffix: UTF8Text)
  }

  package let name: Name
  /// Only this port; nil: whatever the port.
  package let port: UInt16?

  package static let any = RouteHost(name: .any, port: nil)

  private init(name: Name, port: UInt16?) {
    self.name = name
    self.port = port
  }

  /// Nil where the text is neither a host nor `*.` and a host.
  package init?(_ text: UTF8Text) {
    guard let (host, digits) = HostAndPort.split(text.bytes) else { return nil }
    var port: UInt16?
    if let digits {
      guard let number = HostAndPort.port(digits), number > 0 else { return nil }
      port = number
    }
    if host.starts(with: "*.".utf8) {
      guard let suffix = HostName(Array(host.dropFirst(2))), suffix.address == nil
      else { return nil }
      self.init(name: .oneLabelMore(suffix: UTF8Text(".\(suffix.text)")), port: port)
    } else {
      guard let exact = HostName(host) else { return nil }
      self.init(name: .exact(UTF8Text(exact.text)), port: port)
    }
  }
}

extension RouteHost: CustomStringConvertible {
  package var description: String {
    let port = port.map { ":\($0)" } ?? ""
    return switch name {
    case .any: "*\(port)"
    case .exact(let host): "\(host)\(port)"
    case .oneLabelMore(let suffix): "*\(suffix)\(port)"
    }
  }
}
