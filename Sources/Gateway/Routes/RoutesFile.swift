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
  package static func load(
    path: String, environment: @escaping (String) -> String?, files: some FileSource
  ) -> LoadedRoutes {
    let bytes: [UInt8]
    do {
      bytes = try files.read(path, bytesMax: bytesMax)
    } catch {
      return LoadedRoutes(unreadable: path, "cannot be read: \(error)")
    }
    let parser = JSONParser(.commented, bytesMax: bytesMax, depthMax: 64, nodesMax: 1_000_000)
    do {
      let root = try parser.parse(bytes)
      let source = ConfigSource(file: path, bytes: bytes, secrets: HiddenText.ranges(in: root))
      let reading = Reading(environment: environment, files: files)
      let node = Substitution(file: path, reading: reading).apply(to: root)
      let place = ConfigPlace(file: path, range: node.range, key: "")
      let setting = Setting(node: node, place: place, reading: reading)
      let configuration = ObjectReader.read(setting) {
        Configuration.read(&$0, hiding: source.secrets)
      }
      return LoadedRoutes(configuration, reading.findings, source)
    } catch {
      let hidden = HiddenText.ranges(inUnparsed: bytes)
      let source = ConfigSource(file: path, bytes: bytes, secrets: hidden)
      let place = ConfigPlace(file: path, range: error.range, key: "")
      let finding = Reading.Finding(
        place: place, message: "\(error.kind)", suggestion: nil, severity: .error)
      return LoadedRoutes(nil, [finding], source)
    }
  }
}

/// What came of a routes file.
package struct LoadedRoutes: Sendable {
  /// Only there where there is no problem.
  package let configuration: Configuration?
  /// In the order of their places.
  package let problems: [ConfigProblem]
  package let warnings: [ConfigProblem]
  private let source: ConfigSource

  fileprivate init(unreadable file: String, _ message: String) {
    configuration = nil
    source = ConfigSource(file: file, bytes: [], secrets: [])
    problems = [
      ConfigProblem(
        severity: .error, file: file, location: nil, key: "", message: message, suggestion: nil,
        excerpt: nil)
    ]
    warnings = []
  }

  fileprivate init(
    _ configuration: Configuration?, _ findings: [Reading.Finding], _ source: ConfigSource
  ) {
    self.source = source
    let found = source.problems(findings)
    var problems = found.filter { $0.severity == .error }
    if problems.isEmpty, configuration == nil {
      // Whatever could not be read was reported; if not, the mistake is ours, and no reason to
      // take a running gateway down on a reload.
      let whole = ConfigPlace(file: source.file, range: 0..<0, key: "")
      problems = [source.problem(at: whole, "could not be read, for a reason that went unsaid")]
    }
    self.problems = problems
    warnings = found.filter { $0.severity == .warning }
    self.configuration = problems.isEmpty ? configuration : nil
  }

  /// A complaint about a place of the file that turned out wrong later: a certificate that does
  /// not load, an address that can't be bound.
  package func problem(
    at place: ConfigPlace, _ message: String, suggestion: String? = nil,
    severity: ConfigProblem.Severity = .error
  ) -> ConfigProblem {
    source.problem(at: place, message, suggestion: suggestion, severity: severity)
  }
}
