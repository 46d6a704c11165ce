import Gateway
import Reactor

/// Finds and loads a routes file, telling the operator what is wrong with it.
enum RoutesArgument {
  /// The file named, or the first of the usual places that is there.
  static func path(_ arguments: [String]) -> String? {
    if let named = arguments.first { return named }
    return ["routes.json", "/etc/tollgate/routes.json"].first { Surroundings.hasFile($0) }
  }

  /// - Parameter takesSecrets: not where nothing is sent to anybody.
  static func load(
    _ path: String, _ files: some FileSource = DiskFiles(), takesSecrets: Bool = true
  ) -> LoadedRoutes {
    RoutesFile.load(
      path: path, environment: { Surroundings.variable($0) }, files: files,
      takesSecrets: takesSecrets, looksAtFiles: true)
  }

  /// Where the access log of a routes file is, if it is a file.
  static func accessLog(_ path: String) -> String? {
    RoutesFile.accessLog(
      path: path, environment: { Surroundings.variable($0) }, files: DiskFiles())
  }

  /// The path of the one argument, or of a file in one of the usual places.
  static func parse(_ arguments: [String], command: String) throws(Wrong) -> String {
    guard arguments.count <= 1 else {
      throw Wrong(text: "unknown argument \"\(arguments[1])\"")
    }
    guard let path = path(arguments) else {
      throw Wrong(
        text: """
          no routes file: there is no routes.json here and no /etc/tollgate/routes.json.
          Name one: tollgate \(command) ROUTES. To see Tollgate at work without one: tollgate demo
          """)
    }
    return path
  }
}

extension RoutesArgument {
  static func warn(
    _ warnings: [PlacedProblem], _ loaded: LoadedRoutes,
    say: (OperatorLine) -> Void = { Output.error($0.text) }
  ) {
    for warning in warnings {
      say(loaded.problem(at: warning.place, warning.text, severity: .warning).line)
    }
  }

  /// Tells the operator why nothing was started.
  static func explain(
    _ failure: StartFailure, _ loaded: LoadedRoutes,
    say: (OperatorLine) -> Void = { Output.error($0.text) }
  ) -> CommandLineTool.ExitStatus {
    switch failure {
    case .problems(let problems):
      for problem in problems {
        say(loaded.problem(at: problem.place, problem.text).line)
      }
      return .badInput
    case .system(let text):
      say(.error("tollgate: \(text)"))
      return .couldNotRun
    }
  }
}

/// `tollgate check`: the very loading that `run` does, and nothing started.
enum CheckCommand {
  static func run(_ arguments: [String]) throws(Wrong) -> CommandLineTool.ExitStatus {
    var options = Options(arguments, of: .check)
    var isLive = false
    var named: [String] = []
    while let item = try options.next() {
      switch item {
      case .option: isLive = true
      case .argument(let text): named.append(text)
      }
    }
    let path = try RoutesArgument.parse(named, command: "check")
    let loaded = RoutesArgument.load(path)
    for warning in loaded.warnings { Output.error("\(warning)") }
    for problem in loaded.problems { Output.error("\(problem)") }
    guard let configuration = loaded.configuration else { return .badInput }
    do throws(StartFailure) {
      RoutesArgument.warn(try Gateway.check(configuration), loaded)
    } catch {
      return RoutesArgument.explain(error, loaded)
    }
    Output.line("\(path): ok")
    return isLive ? checkLive(configuration, loaded) : .well
  }

  /// Tells of each of those on whom the gateway would depend how it is.
  private static func checkLive(
    _ configuration: Configuration, _ loaded: LoadedRoutes
  ) -> CommandLineTool.ExitStatus {
    DescriptorShares.raiseProcessLimit()
    let findings: [LiveFinding]
    do throws(StartFailure) {
      findings = try LiveCheck.run(configuration)
    } catch {
      return RoutesArgument.explain(error, loaded)
    }
    for finding in findings { Output.line("[\(finding.isWell ? "+" : "-")] \(finding.text)") }
    return findings.allSatisfy(\.isWell) ? .well : .badInput
  }
}

/// `tollgate run`: serves until a signal ends it.
enum RunCommand {
  static func run(_ arguments: [String]) throws(Wrong) -> CommandLineTool.ExitStatus {
    var options = Options(arguments, of: .run)
    var watches = false
    var format = OperatorLineFormat.text
    var named: [String] = []
    while let item = try options.next() {
      switch item {
      case .option("--watch"): watches = true
      case .option: format = OperatorLineFormat(rawValue: try options.value()) ?? .text
      case .argument(let text): named.append(text)
      }
    }
    let path = try RoutesArgument.parse(named, command: "run")
    // From here on nobody waits for who reads standard error.
    let log: OperatorLog
    do throws(SystemError) {
      log = try OperatorLog(format: format)
    } catch {
      Output.error("tollgate: \(error)")
      return .couldNotRun
    }
    defer { log.end() }
    let takeover: Takeover?
    do throws(HandoverFault) {
      takeover = try Takeover.begin()
    } catch {
      log.say(.error("tollgate: this process takes over nothing: \(error)"))
      return .couldNotRun
    }
    let files = RecordedFiles(routesAt: path)
    let loaded = RoutesArgument.load(path, files)
    for finding in loaded.warnings + loaded.problems { log.say(finding.line) }
    guard let configuration = loaded.configuration else { return .badInput }
    DescriptorShares.raiseProcessLimit()
    let gateway: Gateway
    do throws(StartFailure) {
      gateway = try Gateway.start(configuration, inheriting: takeover?.inheritance) {
        log.report($0)
      }
    } catch {
      return RoutesArgument.explain(error, loaded) { log.say($0) }
    }
    RoutesArgument.warn(gateway.warnings, loaded) { log.say($0) }
    if let warning = OpenFiles.warning(for: configuration) { log.say(.warning(warning)) }
    let manager = ServiceManager()
    // Before anything is waited for: files that change meanwhile are to be seen.
    let reloading = Reloading(
      gateway, path: path, files, configuration, watchesRoutes: watches, manager: manager
    ) { log.say($0) }
    if let takeover, !takeover.finish(gateway, say: { log.say($0) }) {
      gateway.stop()
      return .couldNotRun
    }
    for place in gateway.places { log.say("tollgate: \(place)") }
    var operating = Operating(
      gateway: gateway, shutdown: configuration.shutdown, reloading: reloading,
      upgrading: Upgrading(arguments: CommandLine.arguments), takeover: takeover, manager: manager
    ) { log.say($0) }
    operating.serve()
    return .well
  }

  /// Serves until SIGTERM or SIGINT, without reloads.
  static func serveUntilEnded(
    _ gateway: Gateway, _ shutdown: ShutdownSettings, say: @escaping (OperatorLine) -> Void
  ) {
    var operating = Operating(
      gateway: gateway, shutdown: shutdown, reloading: nil, upgrading: nil,
      manager: ServiceManager(socket: ""), say: say)
    operating.serve()
  }
}
