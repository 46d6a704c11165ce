import HTTP
import Reactor
import Wire

/// The protocols that may take over a connection, where the route allows them (RFC 9110 §7.8).
///
/// An `Upgrade` that is not allowed is not forwarded, and the request is one like any other: the
/// caller goes on in HTTP/1.1. One that is allowed is written anew, with a single protocol, and
/// from then on it is open to whom the caller's next bytes belong until the server has answered:
/// what a caller sent ahead stays where it is until the 101, and without one it is nobody's. So its
/// connection ends with any other answer.
enum Upgrades {
  /// Notes which protocol the request asks for, if the route allows it.
  static func note(on request: Request, at route: Route) {
    guard case .forward(let forward) = route.action, !forward.upgrades.isEmpty else { return }
    let head = request.connection.head
    // Content would have to come before the other protocol's first byte; ignoring the wish is
    // always allowed.
    guard head.framing == .none || head.framing == .length(0) else { return }
    // A preflight bears no token, so its tunnel would be anybody's.
    guard request.preflightedMethod == nil else { return }
    request.upgrade = first(of: forward.upgrades, in: head.section, request.connection.received)
    if request.upgrade != nil { request.connection.closesAfterAnswer = true }
  }

  /// Whether a 101 switches to just what was asked for.
  static func isAccepted(by upstream: UpstreamConnection, _ wanted: [UInt8]) -> Bool {
    let head = upstream.head
    guard head.upgradeAccepted, head.minorVersion == 1 else { return false }
    let names = protocols(in: head.section, upstream.received)
    return names == [wanted]
  }

  private static func first(
    of allowed: [[UInt8]], in section: FieldSection, _ received: Buffer
  ) -> [UInt8]? {
    protocols(in: section, received).first { allowed.contains($0) }
  }

  /// The protocols that all `Upgrade` fields name, in lower case: they compare without it.
  private static func protocols(in section: FieldSection, _ received: Buffer) -> [[UInt8]] {
    var names: [[UInt8]] = []
    for line in section.lines where line.known == .upgrade && !line.hasUnderscore {
      let value = received.slice(line.value)
      ListElements.forEach(of: value) { range in
        var name: [UInt8] = []
        for index in range { name.append(ByteClass.lowercased(value[index])) }
        while let last = name.last, ByteClass.isBlank(last) { name.removeLast() }
        names.append(name)
      }
    }
    return names
  }
}
