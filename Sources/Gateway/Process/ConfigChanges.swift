import Wire

/// What two configurations say differently, thing by thing and by their names.
///
/// It compares what the digests are taken over, so it sees all that the files say and no secret.
package struct ConfigChanges {
  /// One line each: "+ route orders", "~ issuer corp", "- upstream legacy"; a key of the file's
  /// top level that is no list of things by its own name.
  package private(set) var lines: [String] = []

  package init(from before: Configuration, to after: Configuration) {
    guard before.digestInput != after.digestInput else { return }
    let former = Self.things(of: before)
    let latter = Self.things(of: after)
    for thing in latter.order + former.order.filter({ latter.values[$0] == nil }) {
      switch (former.values[thing], latter.values[thing]) {
      case (nil, _): lines.append("+ \(thing)")
      case (_, nil): lines.append("- \(thing)")
      case (let one, let other): if one != other { lines.append("~ \(thing)") }
      }
    }
  }

  /// What a configuration is made of, by name, in the order of the kinds below. Two of one name are
  /// one thing.
  private struct Things {
    var order: [String] = []
    var values: [String: [JSONNode]] = [:]

    mutating func add(_ name: String, _ node: JSONNode) {
      if values[name] == nil { order.append(name) }
      values[name, default: []].append(node)
    }
  }

  private static func things(of configuration: Configuration) -> Things {
    var things = Things()
    let parser = JSONParser(.strict, bytesMax: .max, depthMax: 64, nodesMax: .max)
    guard let root = try? parser.parse(configuration.digestInput) else { return things }
    for member in root.members ?? [] {
      let key = member.name.string
      switch (key, member.node.value) {
      case ("routes", .array(let routes)):
        for route in routes {
          let name = route["name"]?.string ?? route["match"]?["path"]?.string
          things.add("route \(ShownText.plain(name?.string ?? "without a name"))", route)
        }
      case ("listeners", .array(let listeners)):
        for listener in listeners {
          let name = listener["name"]?.string ?? listener["address"]?.string
          things.add("listener \(ShownText.plain(name?.string ?? "without a name"))", listener)
        }
      case ("issuers", .object(let members)), ("exchanges", .object(let members)),
        ("upstreams", .object(let members)):
        for named in members {
          things.add("\(key.dropLast()) \(ShownText.plain(named.name.string))", named.node)
        }
      default: things.add(ShownText.plain(key), member.node)
      }
    }
    return things
  }
}
