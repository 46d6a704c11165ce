package import OAuth
import Wire

/// Reads a routes file: the whole of it or nothing, and everything that is wrong with it at once.
///
/// Responsible for what ROUTES.md says a file may hold: the text, the environment's part in it,
/// each key's type, range and default, and what keys mean together. Secrets are read here;
/// certificates, keys and authorities are only named, with the place that names them, for whoever
/// loads them into OpenSSL to complain at.
package enum RoutesFile {
  /// A file that people write is thousands of times smaller; it bounds what a mistake costs.
  private static let bytesMax = 16 << 20

  /// - Parameters:
  ///   - path: as the operator named it; other paths are relative to its folder.
  ///   - environment: an environment variable's value; nil where it is not set.
  ///   - takesSecrets: without it secrets are only named, for commands that send none.
  ///   - looksAtFiles: where something is wrong, files that can't be read are told of with it.
  package static func load(
    path: String, environment: @escaping (String) -> String?, files: some FileSource,
    takesSecrets: Bool = true, looksAtFiles: Bool = false
  ) -> LoadedRoutes {
    let reading = Reading(environment: environment, files: files, takesSecrets: takesSecrets)
    guard let root = parse(path, nil, reading) else { return unread(path, reading) }
    let setting = whole(root, reading)
    let includes = Includes(reading: reading) { parse($0, $1, reading) }
    let whole = Setting(
      node: includes.applied(to: setting), place: setting.place, reading: reading)
    let configuration = ObjectReader.read(whole) { Configuration.read(&$0) }
    if looksAtFiles, reading.findings.contains(where: { $0.severity == .error }) {
      reading.refuseUnusableFiles()
    }
    return LoadedRoutes(configuration, reading.findings, reading.sources)
  }

  /// Reads `admin.address` and nothing else: the secrets and variables that the rest of the file
  /// needs are the gateway's, and who asks it may have none of them. A mistake elsewhere in the
  /// file is for the gateway to tell of.
  package static func adminPlace(
    path: String, environment: @escaping (String) -> String?, files: some FileSource
  ) -> AdminPlace {
    let reading = Reading(environment: environment, files: files)
    guard let root = parse(path, nil, reading, only: "admin") else {
      return .unreadable(unread(path, reading).problems)
    }
    let setting = whole(root, reading)
    let admin = ObjectReader.read(setting) { object in
      Switchable.read("admin", "for operators", in: &object) { AdminSettings.read(&$0) }
    }
    guard let admin, !reading.findings.contains(where: { $0.severity == .error }) else {
      return .unreadable(LoadedRoutes(nil, reading.findings, reading.sources).problems)
    }
    return admin.settings.map { AdminPlace($0.address) } ?? .off
  }

  /// All that a file says.
  private static func whole(_ root: JSONNode, _ reading: Reading) -> Setting {
    Setting(node: root, place: reading.place(of: root.range, key: ""), reading: reading)
  }

  /// What is to be said of a file that has no tree.
  private static func unread(_ path: String, _ reading: Reading) -> LoadedRoutes {
    guard let source = reading.sources.first else {
      let message = reading.findings.first?.message ?? "cannot be read"
      return LoadedRoutes(unreadable: path, message)
    }
    return LoadedRoutes(nil, reading.findings, [source])
  }

  /// Where the access log of a routes file is, whatever else may be wrong with that file.
  ///
  /// - Returns: nil where it can't be told, and where the log is no file.
  package static func accessLog(
    path: String, environment: @escaping (String) -> String?, files: some FileSource
  ) -> String? {
    let reading = Reading(environment: environment, files: files, takesSecrets: false)
    guard let root = parse(path, nil, reading),
      let log = whole(root, reading).value("accessLog"), log.node.members != nil
    else { return nil }
    return ObjectReader.read(log) { AccessLogSettings.read(&$0) }?.output.path
  }

  /// Whether the first byte that says anything begins an object, or a comment.
  private static func looksLikeObject(_ bytes: [UInt8]) -> Bool {
    let first = bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    return first == UInt8(ascii: "{") || first == UInt8(ascii: "/")
  }

  /// A file's tree, the environment's part put in; nil where there is none, which is reported.
  ///
  /// - Parameters:
  ///   - namedAt: what names the file; nil of the routes file itself.
  ///   - only: the one member of the root that is wanted; nil for all.
  private static func parse(
    _ path: String, _ namedAt: ConfigPlace?, _ reading: Reading, only: String? = nil
  ) -> JSONNode? {
    let bytes: [UInt8]
    do {
      bytes = try reading.files.read(path, bytesMax: bytesMax)
    } catch {
      let place = namedAt ?? ConfigPlace(file: path, range: 0..<0, key: "")
      let name = namedAt == nil ? "" : "\(path) "
      reading.refuse(place, "\(name)cannot be read: \(error)", suggestion: nil)
      return nil
    }
    if let namedAt, !looksLikeObject(bytes) {
      // What it holds is not shown: a pattern may have found a key.
      reading.refuse(namedAt, "\(path) does not begin with a brace", suggestion: nil)
      return nil
    }
    let base = reading.nextBase
    let parser = JSONParser(.commented, bytesMax: bytesMax, depthMax: 64, nodesMax: 1_000_000)
    do {
      var root = try parser.parse(bytes)
      if let only, let members = root.members {
        let wanted = members.filter { $0.name == UTF8Text(only) }
        root = JSONNode(value: .object(wanted), range: root.range)
      }
      reading.add(
        ConfigSource(file: path, bytes: bytes, secrets: HiddenText.ranges(in: root), base: base))
      return Substitution(reading: reading).apply(to: root.shifted(by: base))
    } catch {
      let hidden = HiddenText.ranges(inUnparsed: bytes)
      reading.add(ConfigSource(file: path, bytes: bytes, secrets: hidden, base: base))
      let place = ConfigPlace(file: path, range: error.range, key: "")
      reading.refuse(place, "\(error.kind)", suggestion: nil)
      return nil
    }
  }
}

/// What came of a routes file.
package struct LoadedRoutes: Sendable {
  /// Only there where there is no problem.
  package let configuration: Configuration?
  /// File by file, in the order of their places.
  package let problems: [ConfigProblem]
  package let warnings: [ConfigProblem]
  /// Never empty; the routes file first.
  private let sources: [ConfigSource]

  fileprivate init(unreadable file: String, _ message: String) {
    configuration = nil
    sources = [ConfigSource(file: file, bytes: [], secrets: [])]
    problems = [
      ConfigProblem(
        severity: .error, file: file, location: nil, key: "", message: message, suggestion: nil,
        excerpt: nil)
    ]
    warnings = []
  }

  fileprivate init(
    _ configuration: Configuration?, _ findings: [Reading.Finding], _ sources: [ConfigSource]
  ) {
    self.sources = sources
    let byFile = Dictionary(grouping: findings) { $0.place.file }
    let found = sources.flatMap { $0.problems(byFile[$0.file] ?? []) }
    var problems = found.filter { $0.severity == .error }
    if problems.isEmpty, configuration == nil {
      // Whatever could not be read was reported; if not, the mistake is ours, and no reason to
      // take a running gateway down on a reload.
      let whole = ConfigPlace(file: sources[0].file, range: 0..<0, key: "")
      problems = [
        sources[0].problem(at: whole, "could not be read, for a reason that went unsaid")
      ]
    }
    self.problems = problems
    warnings = found.filter { $0.severity == .warning }
    self.configuration = problems.isEmpty ? configuration : nil
  }

  /// A complaint about a place of a file that turned out wrong later: a certificate that does
  /// not load, an address that can't be bound.
  package func problem(
    at place: ConfigPlace, _ message: String, suggestion: String? = nil,
    severity: ConfigProblem.Severity = .error
  ) -> ConfigProblem {
    let source = sources.first { $0.file == place.file } ?? sources[0]
    return source.problem(at: place, message, suggestion: suggestion, severity: severity)
  }
}
