import OAuth
import Wire

/// Finds routes that no request can reach: whatever they fit, more particular ones take. That is no
/// mistake which anything fails for, but hardly what was meant.
enum RouteReach {
  private struct Place: Hashable {
    let host: RouteHost
    let shape: [PathPattern.Segment]
  }

  /// Warns of each such route, and says which ones take its requests.
  ///
  /// - Parameter listenerCount: of the whole file.
  static func report(_ routes: [ReadRoute], listenerCount: Int, _ reading: Reading) {
    var places: [Place: [ReadRoute]] = [:]
    for route in routes {
      guard let match = route.match else { return }
      let place = Place(host: match.host, shape: match.path.shape(ignoringCase: false))
      places[place, default: []].append(route)
    }
    for route in routes {
      guard let match = route.match else { continue }
      let place = Place(host: match.host, shape: match.path.shape(ignoringCase: false))
      let takers =
        rivals(of: route, match, among: places[place] ?? [], listenerCount)
        ?? deeper(than: route, place, places)
      guard let takers else { continue }
      let names = takers.map { taker in
        let isElsewhere = taker.place.file != route.place.file
        return isElsewhere ? "\(taker.key) of \(taker.place.file)" : taker.key
      }
      reading.warn(
        route.place,
        "no request can reach this route: all that it fits go to \(list(names)), which "
          + (names.count == 1 ? "is" : "are")
          + " more particular; ask for something else here, or take it out")
    }
  }

  /// Warns of redirects for all that comes in at some listeners, as from http to https, that are
  /// none for the paths of other routes: a more particular path counts before the listener.
  static func reportRedirects(_ routes: [ReadRoute], _ reading: Reading) {
    for route in routes {
      guard let match = route.match, let listeners = match.listeners,
        case .redirect = route.settings?.action, match.path.segments.last == .rest
      else { continue }
      let stem = match.path.shape(ignoringCase: false).dropLast()
      var (refused, served): ([String], [String]) = ([], [])
      for other in routes {
        guard let rival = other.match, match.host.name == .any || match.host == rival.host
        else { continue }
        let shape = rival.path.shape(ignoringCase: false)
        guard shape.count > stem.count, shape != match.path.shape(ignoringCase: false),
          zip(stem, shape).allSatisfy({ $0 == $1 || $0 == .parameter("") })
        else { continue }
        func accepts(_ candidate: ReadRoute, _ listener: Int) -> Bool {
          candidate.match?.listeners?.contains(listener) ?? true
        }
        if listeners.contains(where: { accepts(other, $0) }) {
          if rival.listeners == nil { served.append(other.key) }
          continue
        }
        let isElsewhere = routes.contains { third in
          third.match?.host == rival.host
            && third.match?.path.shape(ignoringCase: false) == shape
            && listeners.allSatisfy { accepts(third, $0) }
        }
        if !isElsewhere { refused.append(other.key) }
      }
      if refused.isEmpty, served.isEmpty { continue }
      var parts: [String] = []
      if !refused.isEmpty {
        parts.append("what \(list(refused)) \(refused.count == 1 ? "is" : "are") for gets 404")
      }
      if !served.isEmpty {
        parts.append("what \(list(served)) \(served.count == 1 ? "is" : "are") for is served")
      }
      reading.warn(
        route.place,
        "not all that comes in there is redirected: a more particular path counts before the "
          + "listener, so there \(parts.joined(separator: ", and ")); redirect those paths as "
          + "well, each by a route with these \"listeners\"")
    }
  }

  private static func list(_ names: [String]) -> String {
    guard names.count > 1, let last = names.last else { return names.joined() }
    return "\(names.dropLast().joined(separator: ", ")) and \(last)"
  }

  /// Routes with the same pattern that take all of this one's requests by their listeners, methods
  /// and fields; nil where something is left.
  private static func rivals(
    of route: ReadRoute, _ match: RouteMatch, among others: [ReadRoute], _ listenerCount: Int
  ) -> [ReadRoute]? {
    if others.count < 2 { return nil }
    let rivals = others.filter { other in
      guard let rival = other.match, precedence(match) < precedence(rival),
        other.ignoresCase || !route.ignoresCase
      else { return false }
      // What this one asks of the fields is all that the rival may ask of them.
      return Set(rival.headers).isSubset(of: match.headers)
    }
    if rivals.isEmpty { return nil }
    var takers: [ReadRoute] = []
    // nil: one that nobody names.
    let methods: [UTF8Text?] = match.methods.map { $0.map(Optional.some) } ?? [nil]
    for listener in match.listeners ?? Array(0..<listenerCount) {
      for method in methods {
        let taker = rivals.first { other in
          guard let rival = other.match else { return false }
          guard rival.listeners?.contains(listener) ?? true else { return false }
          guard let taken = rival.methods else { return true }
          return method.map { taken.contains($0) } ?? false
        }
        guard let taker else { return nil }
        if !takers.contains(where: { $0.key == taker.key && $0.place == taker.place }) {
          takers.append(taker)
        }
      }
    }
    return takers.isEmpty ? nil : takers
  }

  /// As `Route.precedence` has it.
  private static func precedence(_ match: RouteMatch) -> (Int, Int, Int) {
    (match.listeners == nil ? 0 : 1, match.methods == nil ? 0 : 1, match.headers.count)
  }

  /// Routes with longer patterns that hold each path which `/orders/*` holds: `/orders`, and all
  /// below it by `/orders/{id}/*`. Whatever else these ask for, a less specific pattern is never
  /// tried again.
  private static func deeper(
    than route: ReadRoute, _ place: Place, _ places: [Place: [ReadRoute]]
  ) -> [ReadRoute]? {
    guard place.shape.last == .rest else { return nil }
    var takers: [ReadRoute] = []
    var stem = Array(place.shape.dropLast())
    while true {
      func found(_ end: [PathPattern.Segment]) -> ReadRoute? {
        places[Place(host: place.host, shape: stem + end)]?.first {
          $0.ignoresCase || !route.ignoresCase
        }
      }
      guard let exact = found([]) else { return nil }
      takers.append(exact)
      stem.append(.parameter(""))
      if let rest = found([.rest]) { return takers + [rest] }
    }
  }
}
