import OAuth
import Wire

/// One reading of a routes file: what it may ask for, and all that it found wrong.
final class Reading {
  let environment: (String) -> String?
  let files: any FileSource
  /// Whether secrets are asked for; else they are only named, and never used.
  let takesSecrets: Bool
  /// Files that are named here and read by others later.
  private(set) var namedFiles: [FileReference] = []
  /// Those of them that OpenSSL will be given.
  private(set) var papers: [Papers] = []
  private(set) var findings: [Finding] = []
  /// Texts into which the environment's part was put, as they are written.
  private(set) var written: [Range<Int>: UTF8Text] = [:]
  /// The files that were read, the routes file first. Each one's bytes are counted on from those of
  /// the files before it, so that a range in a tree tells of which file it is.
  private(set) var sources: [ConfigSource] = []
  /// Where `defaults` stands, of whose values every route has some.
  var defaults: Range<Int>?
  /// How many routes stand before each file's first.
  private var firstRoutes: [String: Int] = [:]
  /// Nothing is read: what would be asked for is noted, for the schema.
  var isDescribing = false
  /// The object described last.
  var described: ObjectSchema?
  /// Values already complained about: whatever else is wrong with them is a consequence.
  private var refused: Set<ConfigPlace> = []

  struct Finding {
    let place: ConfigPlace
    let message: String
    let suggestion: String?
    let severity: ConfigProblem.Severity
  }

  init(
    environment: @escaping (String) -> String?, files: any FileSource, takesSecrets: Bool = true
  ) {
    self.environment = environment
    self.files = files
    self.takesSecrets = takesSecrets
  }

  /// Notes a file that somebody will read later.
  func note(_ file: FileReference) { namedFiles.append(file) }

  func note(_ papers: Papers) { self.papers.append(papers) }

  /// Notes what a text said before the environment's part was put in.
  func note(_ text: UTF8Text, writtenAt range: Range<Int>) { written[range] = text }

  /// Takes in a file whose tree's ranges begin at `nextBase`.
  func add(_ source: ConfigSource) { sources.append(source) }

  /// Where the next file's bytes begin.
  var nextBase: Int { sources.last.map { $0.base + $0.bytes.count + 1 } ?? 0 }

  /// The ranges of literal secrets in all files.
  var hidden: [Range<Int>] {
    sources.flatMap { source in
      source.secrets.map { $0.lowerBound + source.base..<$0.upperBound + source.base }
    }
  }

  /// Which file's bytes these are. What a route has from `defaults` is shown as theirs.
  func place(of range: Range<Int>, key: String) -> ConfigPlace {
    var low = 0
    var high = sources.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if sources[middle].base <= range.lowerBound { low = middle } else { high = middle }
    }
    let source = sources[low]
    var key = key
    if let defaults, defaults.lowerBound <= range.lowerBound,
      range.upperBound <= defaults.upperBound, key.utf8.starts(with: "routes[".utf8),
      let end = key.utf8.firstIndex(of: UInt8(ascii: "]"))
    {
      key = "defaults" + key[end...].dropFirst()
    }
    return ConfigPlace(
      file: source.file,
      range: range.lowerBound - source.base..<range.upperBound - source.base, key: key)
  }

  /// A place in a sentence: `routes.d/orders.json:3:5`.
  func shown(_ place: ConfigPlace) -> String {
    guard let source = sources.first(where: { $0.file == place.file }) else { return place.file }
    let location = source.location(of: place)
    return "\(place.file):\(location.line):\(location.column)"
  }

  /// - Parameter first: how many routes there are before this file's.
  func noteRoutes(of file: String, from first: Int) { firstRoutes[file] = first }

  /// A route's number in its own file.
  func routeNumber(_ index: Int, of range: Range<Int>) -> Int {
    if firstRoutes.isEmpty { return index }
    return index - (firstRoutes[place(of: range, key: "").file] ?? 0)
  }

  /// Notes an error, once for a value.
  func refuse(_ place: ConfigPlace, _ message: String, suggestion: String?) {
    guard refused.insert(place).inserted else { return }
    note(place, message, suggestion, .error)
  }

  func warn(_ place: ConfigPlace, _ message: String) {
    note(place, message, nil, .warning)
  }

  private func note(
    _ place: ConfigPlace, _ message: String, _ suggestion: String?,
    _ severity: ConfigProblem.Severity
  ) {
    findings.append(
      Finding(place: place, message: message, suggestion: suggestion, severity: severity))
  }
}

/// A value of the file on its way to become a setting.
struct Setting {
  let node: JSONNode
  let place: ConfigPlace
  let reading: Reading

  /// Complains about the value.
  func refuse(_ message: String, suggestion: String? = nil) {
    reading.refuse(place, message, suggestion: suggestion)
  }

  /// Complains about the value, for a reader to end with.
  func refused<Value>(_ message: String, suggestion: String? = nil) -> Value? {
    refuse(message, suggestion: suggestion)
    return nil
  }

  /// An element of this list.
  func element(_ index: Int, _ node: JSONNode) -> Setting {
    at(node, key: "\(place.key)[\(index)]")
  }

  /// An element of the list of routes, which may have come from several files.
  func route(_ index: Int, _ node: JSONNode) -> Setting {
    at(node, key: "routes[\(reading.routeNumber(index, of: node.range))]")
  }

  /// A member of this object.
  func member(_ member: JSONMember) -> Setting {
    at(member.node, key: Self.key(place.key, member.name))
  }

  /// The value of a member of this object, where it has such a one.
  func value(_ name: UTF8Text) -> Setting? {
    node.members?.first { $0.name == name }.map(member)
  }

  /// The name of a member of this object, as a text of its own.
  func name(of member: JSONMember) -> Setting {
    let node = JSONNode(value: .string(member.name), range: member.nameRange)
    return at(node, key: Self.key(place.key, member.name))
  }

  /// A name that nobody has given, for a schema.
  var nameless: Setting {
    Setting(
      node: JSONNode(value: .string(""), range: node.range), place: place, reading: reading)
  }

  private func at(_ node: JSONNode, key: String) -> Setting {
    Setting(node: node, place: reading.place(of: node.range, key: key), reading: reading)
  }

  /// The path of a member: `issuers.corp`, or `issuers["my corp"]` where a dot would mislead.
  static func key(_ parent: String, _ name: UTF8Text) -> String {
    let isPlain =
      !name.isEmpty
      && name.bytes.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"),
          UInt8(ascii: "$"):
          true
        default: false
        }
      }
    guard isPlain else {
      var quoted: [UInt8] = []
      JSONWriter.appendString(name, to: &quoted)
      return "\(parent)[\(String(decoding: quoted, as: UTF8.self))]"
    }
    return parent.isEmpty ? name.string : "\(parent).\(name)"
  }

  /// What the value is, for a message.
  var found: String {
    switch node.value {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .number: "a number"
    case .string(let text): text.isEmpty ? "an empty string" : "text"
    case .array: "a list"
    case .object: "an object"
    }
  }
}
