import Gateway
import Reactor

/// Finds and loads a routes file, telling the operator what is wrong with it.
enum RoutesArgument {
  /// The file named, or the first of the usual places that is there.
  static func path(_ arguments: [String]) -> String? {
    if let named = arguments.first { return named }
    return ["routes.json", "/etc/tollgate/routes.json"].first { Surroundings.hasFile($0) }
  }

  static func load(_ path: String, _ files: some FileSource = DiskFiles()) -> LoadedRoutes {
    RoutesFile.load(
      path: path,
      environment: { Surroundings.variable($0) },
      files: files)
  }

  /// - Returns: nil after the operator was told what is wrong with the arguments.
  static func parse(_ arguments: [String], command: String) -> String? {
    guard arguments.count <= 1, arguments.first?.hasPrefix("-") != true else {
      Output.error("tollgate \(command): unknown argument \"\(arguments.last ?? "")\"")
      return nil
    }
    guard let path = path(arguments) else {
      Output.error(
        """
        tollgate: no routes file: there is no routes.json here and no /etc/tollgate/routes.json.
        Name one: tollgate \(command) ROUTES. To see Tollgate at work without one: tollgate demo
        """)
      return nil
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
      say(.warning("\(loaded.problem(at: warning.place, warning.text, severity: .warning))"))
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
        say(.error("\(loaded.problem(at: problem.place, problem.text))"))
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
  static func run(_ arguments: [String]) -> CommandLineTool.ExitStatus {
    let isLive = arguments.contains("--live")
    let rest = arguments.filter { $0 != "--live" }
    guard let path = RoutesArgument.parse(rest, command: "check") else { return .usage }
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
  static func run(_ arguments: [String]) -> CommandLineTool.ExitStatus {
    let watches = arguments.contains("--watch")
    var rest = arguments.filter { $0 != "--watch" }
    guard let format = takeLogFormat(&rest) else { return .usage }
    guard let path = RoutesArgument.parse(rest, command: "run") else { return .usage }
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
    for warning in loaded.warnings { log.say(.warning("\(warning)")) }
    for problem in loaded.problems { log.say(.error("\(problem)")) }
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
    if let takeover, !takeover.finish(gateway, say: { log.say($0) }) {
      gateway.stop()
      return .couldNotRun
    }
    for place in gateway.places { log.say("tollgate: listening at \(place)") }
    let manager = ServiceManager()
    let reloading = Reloading(
      gateway, path: path, files, configuration, watchesRoutes: watches, manager: manager
    ) { log.say($0) }
    manager.tellReady(reloading.status)
    var operating = Operating(
      gateway: gateway, shutdown: configuration.shutdown, reloading: reloading,
      upgrading: Upgrading(arguments: CommandLine.arguments), manager: manager
    ) { log.say($0) }
    operating.serve()
    return .well
  }

  /// Takes `--log-format text|json` out of the arguments.
  ///
  /// - Returns: nil after the operator was told what is wrong with it.
  private static func takeLogFormat(_ arguments: inout [String]) -> OperatorLineFormat? {
    let name = "--log-format"
    guard let index = arguments.firstIndex(where: { $0 == name || $0.hasPrefix("\(name)=") })
    else { return .text }
    let argument = arguments.remove(at: index)
    var value: String?
    if argument != name {
      value = String(argument.dropFirst(name.count + 1))
    } else if index < arguments.count {
      value = arguments.remove(at: index)
    }
    if let value, let format = OperatorLineFormat(rawValue: value) { return format }
    Output.error("tollgate run: --log-format is text or json, not \"\(value ?? "")\"")
    return nil
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
