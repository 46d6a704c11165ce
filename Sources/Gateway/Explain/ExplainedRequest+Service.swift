import HTTP
import OAuth
import Reactor
import Wire

// The request as the service would get it, beside the one that came.
extension ExplainedRequest {
  func tellOfService(
    _ forward: Route.Forward, _ route: Route, _ request: Request,
    _ admitted: borrowing AdmittedIdentity, token: OnwardToken
  ) {
    let settings = forward.upstream.shared.settings
    let servers = settings.servers.map { "\($0.target)" }.joined(separator: ", ")
    var facts = [Explanation.Fact("servers", servers)]
    if settings.servers.count > 1 {
      facts.append(Explanation.Fact("balance", Self.text(settings.balance)))
    }
    let written = Self.written(forward, route, request, admitted, token)
    let received = Self.lines(request)
    if let line = written.first {
      let parts = line.split(separator: " ")
      let target = String(parts.count > 1 ? parts[1] : "").prefix { $0 != "?" }
      let path = String(decoding: request.path.merged, as: UTF8.self)
      facts.append(
        Explanation.Fact(
          "path", target == path ? "\(target), as it came" : "\(target), from \(path)"))
    }
    let shownNames = Self.shownNames(route)
    for line in written.dropFirst() where !received.contains(line) {
      let (name, value) = Self.parts(of: line)
      let isShown = shownNames.contains(name.lowercased())
      facts.append(Explanation.Fact("+ \(name)", isShown ? value : "‹not shown›"))
    }
    let goOn = Set(written.dropFirst().map { Self.parts(of: $0).name.lowercased() })
    for line in received {
      let name = Self.parts(of: line).name
      if goOn.contains(name.lowercased()) { continue }
      facts.append(Explanation.Fact("- \(name)", "removed"))
    }
    if !forward.upgrades.isEmpty, let upgrade = request.upgrade {
      facts.append(Explanation.Fact("upgrade", PlainText.of(upgrade)))
    }
    let timeout = forward.timeoutMs.map { Numbers.span(ms: $0) } ?? "none"
    facts.append(Explanation.Fact("timeout", timeout))
    facts.append(Explanation.Fact("retries", "\(forward.retries)"))
    add("forward", .well, "to \(settings.name)", facts)
    caveats.append("No server was asked how it is.")
  }

  private static func text(_ balance: UpstreamSettings.Balance) -> String {
    switch balance {
    case .leastRequests: "the one with the fewest requests"
    case .roundRobin: "in turn"
    case .random: "at random"
    case .hash(.header(let name)): "by the field \(name)"
    case .hash(.claim(let name)): "by the claim \(name)"
    }
  }

  /// The head's lines as `RequestWriter` writes them.
  private static func written(
    _ forward: Route.Forward, _ route: Route, _ request: Request,
    _ admitted: borrowing AdmittedIdentity, _ token: OnwardToken
  ) -> [String] {
    let path = request.path.forwarded(route.settings.pathRules)
    let setLines = forward.fields?.lines(for: request) ?? []
    let bearing = Bearing.likeness(of: admitted, named: Array(token.name.utf8), for: request)
    let room =
      2 * request.connection.head.byteCount + 2 * path.count + setLines.count
      + bearing.byteCount + (forward.paths?.added.count ?? 0) + forward.hostLiteral.count + 4_096
    let out = Buffer(capacity: room)
    RequestWriter.write(
      request, bearing, to: forward.upstream.servers[0], forward, path: path,
      strippedCount: forward.paths?.strippedCount(of: path) ?? 0, setLines: setLines, into: out)
    return lines(of: [UInt8](copying: out.readable))
  }

  private static func lines(_ request: Request) -> [String] {
    let head = request.connection.head
    return Array(lines(of: request.bytes(0..<head.byteCount)).dropFirst())
  }

  private static func lines(of head: [UInt8]) -> [String] {
    head.split(separator: UInt8(ascii: "\n")).compactMap { line in
      let text = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
    }
  }

  private static func parts(of line: String) -> (name: String, value: String) {
    let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let value = parts.count > 1 ? parts[1].drop { $0 == " " } : ""
    return (String(parts[0]), String(value))
  }

  /// Fields whose values hold no secret: the gateway's own, and those made of claims.
  private static func shownNames(_ route: Route) -> Set<String> {
    var names: Set<String> = [
      "host", "authorization", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
      "x-forwarded-prefix", "x-request-id", "via", "content-length", "transfer-encoding",
      "connection", "upgrade", "max-forwards", "expect",
    ]
    if let name = route.settings.ownToken?.callerHeader { names.insert(name.string.lowercased()) }
    guard case .forward(let forward) = route.settings.action else { return names }
    for (name, template) in forward.headers.assigned where isOfClaims(template) {
      names.insert(name.string.lowercased())
    }
    return names
  }

  /// A text of any length beside the claims may be a secret.
  private static func isOfClaims(_ template: Template) -> Bool {
    guard template.constant == nil else { return false }
    return template.parts.allSatisfy { part in
      if case .text(let text) = part { return text.count <= 8 }
      return true
    }
  }
}
