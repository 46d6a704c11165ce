import Gateway
import Reactor

/// Reads the routes file again: when SIGHUP asks for it, and as it was when a file that it names
/// has changed.
struct Reloading {
  enum Reason {
    case asked
    /// Look whether one has.
    case filesChanged
  }

  static let lookEveryMs: Int64 = 2_000

  private let gateway: Gateway
  private let path: String
  private let say: (String) -> Void
  private let workers: Configuration.Workers
  /// The routes file that runs.
  private var routes: [UInt8]?
  private var named: Set<String>
  private var fingerprints: [String: Files.Fingerprint?]

  init(
    _ gateway: Gateway, path: String, _ files: RecordedFiles, _ configuration: Configuration,
    say: @escaping (String) -> Void
  ) {
    self.gateway = gateway
    self.path = path
    self.say = say
    workers = configuration.workers
    routes = files.routes
    named = gateway.paths.union(files.named)
    fingerprints = Self.fingerprints(of: named)
  }

  /// - Returns: how the configuration ends that runs now, where it is another.
  mutating func look(_ reason: Reason) -> ShutdownSettings? {
    let fingerprints = Self.fingerprints(of: named)
    switch reason {
    case .asked: say("tollgate: reloading \(path)")
    case .filesChanged:
      guard fingerprints != self.fingerprints else { return nil }
      let changed = named.filter { fingerprints[$0] != self.fingerprints[$0] }.sorted()
      say("tollgate: changed: \(changed.joined(separator: ", "))")
    }
    // What changes while it is read is seen at the next look.
    self.fingerprints = fingerprints
    let files = RecordedFiles(routesAt: path, holding: reason == .asked ? nil : routes)
    let loaded = RoutesArgument.load(path, files)
    for warning in loaded.warnings { say("\(warning)") }
    guard let configuration = loaded.configuration else {
      for problem in loaded.problems { say("\(problem)") }
      return refused()
    }
    let before = gateway.configDigest
    do throws(StartFailure) {
      try gateway.reload(configuration)
    } catch {
      switch error {
      case .problems(let problems):
        for problem in problems { say("\(loaded.problem(at: problem.place, problem.text))") }
      case .system(let text): say("tollgate: \(text)")
      }
      return refused()
    }
    RoutesArgument.warn(gateway.warnings, loaded, say: say)
    if let warning = OpenFiles.warning(for: configuration) { say(warning) }
    if configuration.workers != workers {
      say("tollgate: another number of workers takes a new start; all else is as \(path) says")
    }
    let after = gateway.configDigest
    say(
      "tollgate: reloaded \(path): "
        + (before == after ? "it says the same as before" : "now \(after), it was \(before)"))
    routes = files.routes
    named = gateway.paths.union(files.named)
    self.fingerprints = Self.fingerprints(of: named).merging(fingerprints) { $1 }
    return configuration.shutdown
  }

  private func refused() -> ShutdownSettings? {
    say("tollgate: nothing has changed: what ran before goes on")
    return nil
  }

  private static func fingerprints(of paths: Set<String>) -> [String: Files.Fingerprint?] {
    Dictionary(uniqueKeysWithValues: paths.map { ($0, Files.fingerprint($0)) })
  }
}
