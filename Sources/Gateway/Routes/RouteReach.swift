import OAuth
import Wire

/// Finds routes that no request can reach: whatever they fit, more particular ones take. That is no
/// mistake which anything fails for, but hardly what was meant.
enum RouteReach {
  private struct Place: Hashable {
    let host: RouteHost
    let shape: [PathPattern.Segment]
  }

  private typealias Placed = (route: ReadRoute, match: RouteMatch, place: Place)

  /// Warns of each such route, and says which ones take its requests; and of redirects for all that
  /// comes in somewhere, where other routes' paths are none of it.
  ///
  /// - Parameter listenerCount: of the whole file.
  static func report(_ routes: [ReadRoute], listenerCount: Int, _ reading: Reading) {
    let placed = routes.compactMap { route -> Placed? in
      guard let match = route.match else { return nil }
      let shape = match.path.shape(ignoringCase: false)
      return (route, match, Place(host: match.host, shape: shape))
    }
    let places = Dictionary(grouping: placed, by: \.place).mapValues { $0.map(\.route) }
    // Whether something takes a route's requests is known of whole files alone.
    if placed.count == routes.count {
      for one in placed { reportUnreached(one, places, listenerCount, reading) }
    }
    for one in placed { reportRedirect(one, placed, places, reading) }
  }

  private static func reportUnreached(
    _ placed: Placed, _ places: [Place: [ReadRoute]], _ listenerCount: Int, _ reading: Reading
  ) {
    let (route, match, place) = placed
    let takers =
      rivals(of: route, match, among: places[place] ?? [], listenerCount)
      ?? deeper(than: route, place, places)
    guard let takers else { return }
    reading.warn(
      route.place,
      "no request can reach this route: all that it fits go to \(list(takers, from: route)), which "
        + (takers.count == 1 ? "is" : "are")
        + " more particular; ask for something else here, or take it out")
  }

  /// Warns of a redirect for all that comes in at some listeners, as from http to https, that is
  /// none for the paths of other routes: a more particular path counts before the listener.
  private static func reportRedirect(
    _ placed: Placed, _ all: [Placed], _ places: [Place: [ReadRoute]], _ reading: Reading
  ) {
    let (route, match, place) = placed
    guard let listeners = match.listeners, case .redirect = route.settings?.action,
      place.shape.last == .rest
    else { return }
    func accepts(_ route: ReadRoute, _ listener: Int) -> Bool {
      route.match?.listeners?.contains(listener) ?? true
    }
    let stem = place.shape.dropLast()
    var (refused, served): ([ReadRoute], [ReadRoute]) = ([], [])
    for (other, rival, at) in all {
      guard match.host.name == .any || match.host == rival.host,
        at.shape.count > stem.count, at.shape != place.shape,
        zip(stem, at.shape).allSatisfy({ $0 == $1 || $0 == .parameter("") })
      else { continue }
      if listeners.contains(where: { accepts(other, $0) }) {
        if rival.listeners == nil { served.append(other) }
        continue
      }
      let isElsewhere = (places[at] ?? []).contains { third in
        listeners.allSatisfy { accepts(third, $0) }
      }
      if !isElsewhere { refused.append(other) }
    }
    let parts = [(refused, "gets 404"), (served, "is served")].compactMap { others, fate in
      others.isEmpty
        ? nil : "what \(list(others, from: route)) \(others.count == 1 ? "is" : "are") for \(fate)"
    }
    if parts.isEmpty { return }
    reading.warn(
      route.place,
      "not all that comes in there is redirected: a more particular path counts before the "
        + "listener, so there \(parts.joined(separator: ", and ")); redirect those paths as "
        + "well, each by a route with these \"listeners\"")
  }

  /// Of more routes than this a few are named and the rest is counted.
  private static let namedMax = 5

  /// Routes' keys, with their files where those are others than `route`'s.
  private static func list(_ routes: [ReadRoute], from route: ReadRoute) -> String {
    let rest = routes.count > namedMax ? routes.count - namedMax + 1 : 0
    var names = routes.dropLast(rest).map { other in
      other.place.file == route.place.file ? other.key : "\(other.key) of \(other.place.file)"
    }
    if rest > 0 { names.append("\(Numbers.grouped(UInt64(rest))) more") }
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
