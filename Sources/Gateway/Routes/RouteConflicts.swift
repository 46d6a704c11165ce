import OAuth
import Wire

/// Finds routes that could both fit one request: listeners, methods and headers choose among
/// routes with the same host and path, and where they can't, nothing else would.
enum RouteConflicts {
  private struct Place: Hashable {
    let host: RouteHost
    let shape: [PathPattern.Segment]
    let ignoresCase: Bool
  }

  /// Reports each route that an earlier one could stand in for.
  static func report(_ routes: [ReadRoute], _ reading: Reading) {
    var places: [Place: [(route: ReadRoute, match: RouteMatch)]] = [:]
    for route in routes {
      guard let match = route.match else { continue }
      var keys = [
        Place(host: match.host, shape: match.path.shape(ignoringCase: false), ignoresCase: false)
      ]
      if route.ignoresCase {
        keys.append(
          Place(host: match.host, shape: match.path.shape(ignoringCase: true), ignoresCase: true))
      }
      for key in keys {
        if let other = places[key]?.first(where: { areAlike($0.match, match) }) {
          let file = other.route.place.file
          let place = file == route.place.file ? "" : " of \(file)"
          reading.refuse(
            route.place,
            "could fit the same requests as \(other.route.key)\(place): the same host and path, "
              + "and neither listeners, methods nor headers choose between them", suggestion: nil)
        }
        places[key, default: []].append((route, match))
      }
    }
  }

  /// Reports a name that the log and the metrics would show for two routes.
  static func reportSameNames(_ setting: Setting?) {
    guard let setting else { return }
    var places: [UTF8Text: ConfigPlace] = [:]
    for (index, node) in (setting.node.elements ?? []).enumerated() {
      let route = setting.route(index, node)
      guard let name = route.value("name"), let text = name.node.string, !text.isEmpty else {
        continue
      }
      if let other = places[text] {
        name.refuse("given twice; it is at \(name.reading.shown(other)) already")
      } else {
        places[text] = name.place
      }
    }
  }

  /// Whether one request could fit both, neither being the more particular.
  private static func areAlike(_ one: RouteMatch, _ other: RouteMatch) -> Bool {
    overlap(one.listeners, other.listeners) && overlap(one.methods, other.methods)
      && one.headers.count == other.headers.count
      && !one.headers.contains { condition in
        other.headers.contains { $0.name == condition.name && $0.value != condition.value }
      }
  }

  /// One list goes before none; two that share nothing never meet.
  private static func overlap<Element: Hashable>(_ one: [Element]?, _ other: [Element]?) -> Bool {
    switch (one, other) {
    case (nil, nil): true
    case (let one?, let other?): !Set(one).isDisjoint(with: other)
    case (nil, _?), (_?, nil): false
    }
  }
}
