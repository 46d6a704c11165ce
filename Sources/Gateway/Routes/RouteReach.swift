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
