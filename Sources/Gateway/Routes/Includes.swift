import OAuth
import Wire

/// Puts what included files hold into the routes file's own tree, each value with the place where
/// it stands, so that whatever is wrong with one is told of the file that says it.
///
/// A file's entries come behind those of the files before it: the routes file's own, then those of
/// each name in `include`, and of a pattern's files in the order of their names.
struct Includes {
  /// What an included file may hold.
  private static let maps = ["issuers", "exchanges", "upstreams"]
  /// Both together bound what a slip of a pattern costs.
  private static let filesMax = 10_000

  let reading: Reading
  /// Parses an included file; nil when it can't be read, which is reported at the place.
  let parse: (_ path: String, _ namedAt: ConfigPlace) -> JSONNode?

  /// The root with all that its `include` names.
  func applied(to root: Setting) -> JSONNode {
    guard let include = root.value("include"), let members = root.node.members else {
      return root.node
    }
    var merged = members
    for path in paths(of: include, besides: root.place.file) {
      guard let node = parse(path.path, path.place) else { continue }
      let place = reading.place(of: node.range, key: "")
      add(Setting(node: node, place: place, reading: reading), to: &merged)
    }
    return JSONNode(value: .object(merged), range: root.node.range)
  }

  private func add(_ file: Setting, to merged: inout [JSONMember]) {
    _ = ObjectReader.read(file) { object -> Bool? in
      _ = object.optional("$schema", .anyText, "ignored")
      for name in Self.maps {
        guard let section = object.find(name) else { continue }
        guard section.node.members != nil else {
          section.refuse("expected an object, found \(section.found)")
          continue
        }
        add(section, named: name, to: &merged)
      }
      guard let routes = object.find("routes") else { return true }
      guard let nodes = routes.node.elements else {
        return routes.refused("expected a list, found \(routes.found)")
      }
      let base = Self.index(of: "routes", in: merged).map { merged[$0].node.elements?.count ?? 0 }
      reading.noteRoutes(of: routes.place.file, from: base ?? 0)
      append(.array(nodes), routes.node, named: "routes", to: &merged)
      return true
    }
  }

  /// Adds the entries of a map; one whose name is taken is a mistake.
  private func add(_ section: Setting, named name: String, to merged: inout [JSONMember]) {
    let taken = Self.index(of: name, in: merged).flatMap { merged[$0].node.members } ?? []
    let places = Dictionary(taken.map { ($0.name, $0.nameRange) }) { first, _ in first }
    let fresh = (section.node.members ?? []).filter { member in
      guard let other = places[member.name] else { return true }
      let place = reading.shown(reading.place(of: other, key: ""))
      section.name(of: member).refuse("given twice; it is at \(place) already")
      return false
    }
    append(.object(fresh), section.node, named: name, to: &merged)
  }

  /// Puts the entries behind those that are there; what there is of another kind stays as it is,
  /// for its own reader to refuse.
  private func append(
    _ value: JSONValue, _ node: JSONNode, named name: String, to merged: inout [JSONMember]
  ) {
    guard let index = Self.index(of: name, in: merged) else {
      merged.append(
        JSONMember(
          name: UTF8Text(name), nameRange: node.range,
          node: JSONNode(value: value, range: node.range)))
      return
    }
    let former = merged[index]
    let both: JSONValue
    switch (former.node.value, value) {
    case (.array(let first), .array(let second)): both = .array(first + second)
    case (.object(let first), .object(let second)): both = .object(first + second)
    default: return
    }
    merged[index] = JSONMember(
      name: former.name, nameRange: former.nameRange,
      node: JSONNode(value: both, range: former.node.range))
  }

  private static func index(of name: String, in members: [JSONMember]) -> Int? {
    members.firstIndex { $0.name == UTF8Text(name) }
  }

  // Which files.

  /// Each once, and never the routes file itself.
  private func paths(
    of include: Setting, besides main: String
  ) -> [(path: String, place: ConfigPlace)] {
    guard let patterns = Kind<[FileReference]>.list(.file).read(include) else { return [] }
    var seen: Set<String> = [main]
    var found: [(path: String, place: ConfigPlace)] = []
    for pattern in patterns {
      let matches = PathGlob.isPattern(pattern.path) ? files(pattern) : [pattern.path]
      for path in matches where seen.insert(path).inserted { found.append((path, pattern.place)) }
      if found.count > Self.filesMax {
        reading.refuse(pattern.place, "more than \(Self.filesMax) files", suggestion: nil)
        return []
      }
    }
    return found
  }

  private func files(_ pattern: FileReference) -> [String] {
    do throws(FileFault) {
      let paths = try PathGlob.paths(pattern.path, reading.files)
      if paths.isEmpty { reading.warn(pattern.place, "no file has such a name") }
      return paths
    } catch {
      reading.refuse(pattern.place, "cannot be looked for: \(error)", suggestion: nil)
      return []
    }
  }
}

/// Names of files with `*` (any characters but `/`) and `?` (one of them), as a shell reads them: a
/// name that begins with a dot is only found by a pattern that does.
enum PathGlob {
  static func isPattern(_ path: String) -> Bool {
    path.utf8.contains(UInt8(ascii: "*")) || path.utf8.contains(UInt8(ascii: "?"))
  }

  /// What there is of such a name, in the order of the names' bytes.
  static func paths(_ pattern: String, _ files: any FileSource) throws(FileFault) -> [String] {
    var found = [pattern.hasPrefix("/") ? "/" : ""]
    let parts = pattern.split(separator: "/")
    for (number, part) in parts.enumerated() {
      let separator = number == parts.count - 1 ? "" : "/"
      var next: [String] = []
      for folder in found {
        guard isPattern(String(part)) else {
          next.append(folder + part + separator)
          continue
        }
        // Below a pattern there may be files where a folder is looked for.
        guard let names = try list(folder, files, isCertain: found.count == 1) else { continue }
        let wanted = Array(part.utf8)
        next += names.filter { matches(Array($0.utf8)[...], wanted[...]) }
          .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
          .map { folder + $0 + separator }
      }
      found = next
    }
    return found
  }

  private static func list(
    _ folder: String, _ files: any FileSource, isCertain: Bool
  ) throws(FileFault) -> [String]? {
    do throws(FileFault) {
      return try files.list(folder.isEmpty ? "." : folder)
    } catch {
      if isCertain { throw error }
      return nil
    }
  }

  private static func matches(
    _ name: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>
  ) -> Bool {
    if name.first == UInt8(ascii: "."), pattern.first != UInt8(ascii: ".") { return false }
    // Where the last star stands, and how much of the name it holds: all that has to be tried.
    var (rest, at) = (name, pattern)
    var star: (name: ArraySlice<UInt8>, pattern: ArraySlice<UInt8>)?
    while let byte = rest.first {
      if at.first == UInt8(ascii: "*") {
        at = at.dropFirst()
        star = (rest, at)
      } else if let wanted = at.first, wanted == byte || wanted == UInt8(ascii: "?") {
        (rest, at) = (rest.dropFirst(), at.dropFirst())
      } else if let last = star {
        star = (last.name.dropFirst(), last.pattern)
        (rest, at) = (last.name.dropFirst(), last.pattern)
      } else {
        return false
      }
    }
    return at.allSatisfy { $0 == UInt8(ascii: "*") }
  }
}

extension JSONNode {
  /// The same tree where it stands so many bytes further on.
  func shifted(by offset: Int) -> JSONNode {
    if offset == 0 { return self }
    func moved(_ range: Range<Int>) -> Range<Int> {
      range.lowerBound + offset..<range.upperBound + offset
    }
    let value: JSONValue =
      switch self.value {
      case .null, .bool, .number, .string: self.value
      case .array(let nodes): .array(nodes.map { $0.shifted(by: offset) })
      case .object(let members):
        .object(
          members.map { member in
            JSONMember(
              name: member.name, nameRange: moved(member.nameRange),
              node: member.node.shifted(by: offset))
          })
      }
    return JSONNode(value: value, range: moved(range))
  }
}
