import Gateway
import Reactor

/// Reads the routes file again: when it is asked to, and when a file that it names has changed;
/// with `--watch` also when it has changed itself.
///
/// What is wrong leaves all as it was. Without `--watch` a changed secret has the routes file taken
/// up as it was read last, not as it lies there, perhaps half edited.
struct Reloading {
  enum Reason {
    case asked
    /// Look whether one has.
    case filesChanged
    /// The same, the kernel having told that one may have.
    case filesTouched
  }

  static let lookEveryMs: Int64 = 2_000
  /// Files are changed in several steps, and several at a time: nothing is looked at before so long
  /// nothing more has happened to them, or it has gone on for the longer time.
  static let settleMs: Int64 = 100
  static let settleMsMax: Int64 = 1_000

  private let gateway: Gateway
  private let path: String
  private let watchesRoutes: Bool
  private let manager: ServiceManager
  private let say: (OperatorLine) -> Void
  /// What was said last of the files that may be open.
  private var filesWarning: String?
  private let workers: Configuration.Workers
  /// The routes file that runs.
  private var routes: [UInt8]?
  private var files: WatchedFiles

  init(
    _ gateway: Gateway, path: String, _ recorded: RecordedFiles, _ configuration: Configuration,
    watchesRoutes: Bool, manager: ServiceManager, say: @escaping (OperatorLine) -> Void
  ) {
    self.gateway = gateway
    self.path = path
    self.watchesRoutes = watchesRoutes
    self.manager = manager
    self.say = say
    workers = configuration.workers
    filesWarning = OpenFiles.warning(for: configuration)
    routes = recorded.routes
    files = WatchedFiles()
    files.watch(watched(recorded), read: recorded.digests)
  }

  /// What the service manager is to show.
  var status: String { "Serving \(path) (\(gateway.configDigest))" }

  /// Whether the kernel has told of a file that is watched since the last call.
  func takeTouches() -> Bool { files.takeTouches() }

  /// - Returns: what came of it, and how the configuration ends that runs now, where it is another;
  ///   nil when nothing has changed.
  mutating func look(_ reason: Reason) -> (ReloadOutcome, ShutdownSettings?)? {
    let changed = files.changed(thoroughly: reason != .filesChanged)
    switch reason {
    case .asked: say("tollgate: reloading \(path)")
    case .filesChanged, .filesTouched:
      if changed.isEmpty { return nil }
      say("tollgate: changed: \(changed.joined(separator: ", "))")
    }
    manager.tellReloading()
    let (outcome, shutdown) = reload(reason, changed)
    if outcome.kind != .done { gateway.noteRefusedReload() }
    manager.tellReady(outcome.kind == .done ? status : "\(status); the last reload was refused")
    return (outcome, shutdown)
  }

  private mutating func reload(
    _ reason: Reason, _ changed: [String]
  ) -> (ReloadOutcome, ShutdownSettings?) {
    let isFresh = reason == .asked || watchesRoutes
    let recorded = RecordedFiles(routesAt: path, holding: isFresh ? nil : routes)
    let loaded = RoutesArgument.load(path, recorded)
    let said = Said(say)
    for warning in loaded.warnings { said.say(warning.line) }
    guard let configuration = loaded.configuration else {
      for problem in loaded.problems { said.say(problem.line) }
      return (said.refused(.badInput), nil)
    }
    let before = gateway.configDigest
    let changes: ConfigChanges
    do throws(StartFailure) {
      changes = try gateway.reload(configuration)
    } catch {
      switch error {
      case .problems(let problems):
        for problem in problems {
          said.say(loaded.problem(at: problem.place, problem.text).line)
        }
        return (said.refused(.badInput), nil)
      case .system(let text):
        said.say(.error("tollgate: \(text)"))
        return (said.refused(.couldNotRun), nil)
      }
    }
    RoutesArgument.warn(gateway.warnings, loaded) { said.say($0) }
    let warning = OpenFiles.warning(for: configuration)
    if let warning, warning != filesWarning { said.say(.warning(warning)) }
    filesWarning = warning
    if configuration.workers != workers {
      said.say(
        .warning(
          "tollgate: another number of workers takes a new start; all else is as \(path) says"))
    }
    let after = gateway.configDigest
    let isOther = recorded.routes != routes
    said.say(
      .info(
        "tollgate: reloaded \(path): "
          + (before != after
            ? "now \(after), it was \(before)"
            : "it says the same as before"
              + (isOther ? ", but for comments, layout and what is secret" : ""))))
    for line in changes.lines { said.say("  \(line)") }
    for file in changed where file != path { said.say("  ~ file \(file)") }
    routes = recorded.routes
    files.watch(watched(recorded), read: recorded.digests)
    return (ReloadOutcome(.done, said.text), configuration.shutdown)
  }

  private func watched(_ recorded: RecordedFiles) -> Set<String> {
    let named = gateway.paths.union(recorded.named)
    return watchesRoutes ? named.union([path]) : named
  }

  /// What is said to the operator, and to whoever asked.
  private final class Said {
    private let sayOn: (OperatorLine) -> Void
    private(set) var text = ""

    init(_ sayOn: @escaping (OperatorLine) -> Void) { self.sayOn = sayOn }

    func say(_ line: OperatorLine) {
      text += "\(line.text)\n"
      sayOn(line)
    }

    func refused(_ kind: ReloadOutcome.Kind) -> ReloadOutcome {
      say(.error("tollgate: nothing has changed: what ran before goes on"))
      return ReloadOutcome(kind, text)
    }
  }
}
