import HTTP
import OAuth
import Reactor
import Wire

// Which route a request finds, the ones that it nearly finds, and what counts on it.
extension ExplainedRequest {
  private static let nearMissesMax = 6

  func findRoute(_ request: Request) throws(Refusal) -> Route {
    do throws(Refusal) {
      let route = try engine.router.route(request)
      let isPreflight = request.method == .options && request.preflightedMethod != nil
      add(
        "route", .well,
        "\(route.settings.name)\(isPreflight ? ", asked about before it is called" : "")",
        [Explanation.Fact("matches", text(of: route.settings.match))]
          + nearMisses(request, besides: route))
      return route
    } catch {
      var facts: [Explanation.Fact] = []
      if !error.allow.isEmpty { facts.append(Explanation.Fact("Allow", PlainText.of(error.allow))) }
      let summary =
        error.reason == .methodNotAllowed
        ? "none of this path takes \(call.method)" : "none matches"
      add("route", .wrong, summary, facts + nearMisses(request, besides: nil))
      throw error
    }
  }

  /// Routes that lack little, and what each of them lacks.
  private func nearMisses(_ request: Request, besides found: Route?) -> [Explanation.Fact] {
    let path = request.path.merged
    var near: [(distance: Int, fact: Explanation.Fact)] = []
    for (route, misses) in engine.router.misses(of: request) {
      if let found, found.settings.name == route.settings.name { continue }
      let match = route.settings.match
      let common = Self.commonCount(match.path, path)
      var distance = 4 * misses.count
      if misses.contains(.path) {
        // Another path altogether is no near miss, but a misspelled one is.
        if found != nil || misses.count > 2 { continue }
        if common == 0, !Self.isMisspelled(match.path, path) { continue }
        distance += 4 - min(3, common)
      } else if misses.count > 2 {
        continue
      }
      let why =
        misses.isEmpty
        ? "fits too, but \(found?.settings.name ?? "another") is more particular"
        : misses.map { text(of: $0, match, request) }.joined(separator: "; ")
      near.append((distance, Explanation.Fact("not \(route.settings.name)", why)))
    }
    // In the file's order where they are as near.
    let sorted = near.enumerated().sorted {
      ($0.element.distance, $0.offset) < ($1.element.distance, $1.offset)
    }
    return sorted.prefix(Self.nearMissesMax).map(\.element.fact)
  }

  /// How many segments at the front of a path are a pattern's literals.
  private static func commonCount(_ pattern: PathPattern, _ path: [UInt8]) -> Int {
    let segments = path.dropFirst().split(
      separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    var count = 0
    for (wanted, segment) in zip(pattern.segments, segments) {
      switch wanted {
      case .literal(let text):
        guard text.bytes.elementsEqual(segment) else { return count }
        count += 1
      case .parameter, .rest: break
      }
    }
    return count
  }

  /// Whether a path begins nearly as a pattern does.
  private static func isMisspelled(_ pattern: PathPattern, _ path: [UInt8]) -> Bool {
    guard case .literal(let wanted)? = pattern.segments.first else { return false }
    let segment = path.dropFirst().prefix { $0 != UInt8(ascii: "/") }
    let text = String(decoding: segment, as: UTF8.self)
    return Spelling.nearest(to: text, among: [wanted.string]) != nil
  }

  private func text(
    of condition: Router.Condition, _ match: RouteMatch, _ request: Request
  ) -> String {
    switch condition {
    case .host: "host \(PlainText.of(request.host)) is not \(match.host)"
    case .port: "port \(request.wantedPort) is not \(match.host.port.map(String.init) ?? "any")"
    case .path: "path \(PlainText.of(request.path.merged)) is not \(match.path.text)"
    case .listener: "listener \(request.listener.name) is not \(names(match.listeners))"
    case .method: "method \(call.method) is not \(PlainText.list(match.methods ?? []))"
    case .headers:
      "it wants " + match.headers.map { "\($0.name): \($0.value)" }.joined(separator: " and ")
    }
  }

  private func text(of match: RouteMatch) -> String {
    var parts = [match.path.text]
    if match.host != .any { parts.append("host \(match.host)") }
    if let methods = match.methods { parts.append(PlainText.list(methods)) }
    if match.listeners != nil { parts.append("listener \(names(match.listeners))") }
    for header in match.headers { parts.append("\(header.name): \(header.value)") }
    return parts.joined(separator: ", ")
  }

  private func names(_ listeners: [Int]?) -> String {
    (listeners ?? []).map { configuration.listeners[$0].name }.joined(separator: ", ")
  }

  /// Rate limits and CORS: what counts here, counted by nobody.
  func tellOfLimits(_ route: Route, _ request: Request) {
    var facts: [Explanation.Fact] = []
    for limit in route.settings.rateLimits {
      let by: String
      switch limit.by {
      case .address: by = "by address, before the token is read"
      case .route: by = "of the route, before the token is read"
      case .header(let name): by = "by the field \(name), before the token is read"
      case .claim(let name): by = "by the claim \(name), after admission"
      }
      let span = Numbers.span(ms: limit.perMs)
      facts.append(
        Explanation.Fact(
          "rate limit", "\(limit.requests) in \(span), \(limit.burst) at once, \(by)"))
    }
    if !route.settings.rateLimits.isEmpty {
      caveats.append("Rate limits count in a running gateway only; here none is used up.")
    }
    switch route.settings.cors {
    case nil: break
    case .upstream: facts.append(Explanation.Fact("CORS", "the service answers for itself"))
    case .own(let own):
      let origins = own.allowsAny ? "*" : PlainText.list(own.origins)
      guard let range = request.origin else {
        facts.append(Explanation.Fact("CORS", "no Origin is sent", expected: origins))
        break
      }
      let isListed = route.cors?.lists(request.connection.received, range) ?? false
      facts.append(
        Explanation.Fact(
          "CORS", "Origin \(PlainText.of(request.bytes(range)))", expected: origins,
          mark: isListed || own.allowsAny ? .well : .wrong))
    }
    if !facts.isEmpty { add("limits", .note, "what else applies", facts) }
  }
}
