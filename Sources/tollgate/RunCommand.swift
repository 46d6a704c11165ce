import Gateway
import Reactor

/// Finds and loads a routes file, telling the operator what is wrong with it.
enum RoutesArgument {
  /// The file named, or the first of the usual places that is there.
  static func path(_ arguments: [String]) -> String? {
    if let named = arguments.first { return named }
    return ["routes.json", "/etc/tollgate/routes.json"].first { Surroundings.hasFile($0) }
  }

  static func load(_ path: String) -> LoadedRoutes {
    RoutesFile.load(
      path: path,
      environment: { Surroundings.variable($0) },
      files: DiskFiles())
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
    say: (String) -> Void = { Output.error($0) }
  ) {
    for warning in warnings {
      say("\(loaded.problem(at: warning.place, warning.text, severity: .warning))")
    }
  }

  /// Tells the operator why nothing was started.
  static func explain(
    _ failure: StartFailure, _ loaded: LoadedRoutes
  ) -> CommandLineTool.ExitStatus {
    switch failure {
    case .problems(let problems):
      for problem in problems {
        Output.error("\(loaded.problem(at: problem.place, problem.text))")
      }
      return .badInput
    case .system(let text):
      Output.error("tollgate: \(text)")
      return .couldNotRun
    }
  }
}

/// `tollgate check`: the very loading that `run` does, and nothing started.
enum CheckCommand {
  static func run(_ arguments: [String]) -> CommandLineTool.ExitStatus {
    guard let path = RoutesArgument.parse(arguments, command: "check") else { return .usage }
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
    return .well
  }
}

/// `tollgate run`: serves until a signal ends it.
enum RunCommand {
  static func run(_ arguments: [String]) -> CommandLineTool.ExitStatus {
    guard let path = RoutesArgument.parse(arguments, command: "run") else { return .usage }
    let loaded = RoutesArgument.load(path)
    for warning in loaded.warnings { Output.error("\(warning)") }
    for problem in loaded.problems { Output.error("\(problem)") }
    guard let configuration = loaded.configuration else { return .badInput }
    // From here on nobody waits for who reads standard error.
    let log: OperatorLog
    do throws(SystemError) {
      log = try OperatorLog()
    } catch {
      Output.error("tollgate: \(error)")
      return .couldNotRun
    }
    defer { log.end() }
    let gateway: Gateway
    do throws(StartFailure) {
      gateway = try Gateway.start(configuration) { log.say("tollgate: \($0)") }
    } catch {
      return RoutesArgument.explain(error, loaded)
    }
    RoutesArgument.warn(gateway.warnings, loaded) { log.say($0) }
    for address in gateway.addresses { log.say("tollgate: listening at \(address)") }
    serveUntilEnded(gateway, configuration.shutdown) { log.say($0) }
    return .well
  }

  /// Runs until SIGTERM or SIGINT, then drains; a second one ends at once.
  ///
  /// - Parameter say: takes a line for the operator, and no time.
  static func serveUntilEnded(
    _ gateway: Gateway, _ shutdown: ShutdownSettings, say: (String) -> Void
  ) {
    waitForEnd(gateway, say: say)
    gateway.failReadiness()
    say("tollgate: ending; requests under way are finished")
    let beganMs = Clock.monotonicNs() / 1_000_000
    var isDraining = false
    while true {
      let elapsedMs = Clock.monotonicNs() / 1_000_000 - beganMs
      if elapsedMs >= shutdown.delayMs, !isDraining {
        isDraining = true
        gateway.drain()
      }
      if isDraining, gateway.isDrained { break }
      if elapsedMs >= shutdown.delayMs + shutdown.graceMs {
        say("tollgate: some requests did not finish in time and are cut")
        break
      }
      switch Signals.next(withinMs: 20) {
      case .terminate, .interrupt:
        gateway.stop()
        return
      case .user1: gateway.reopenLogs()
      case .hangUp, nil: break
      }
    }
    gateway.stop()
  }

  private static func waitForEnd(_ gateway: Gateway, say: (String) -> Void) {
    while true {
      switch Signals.next() {
      case .terminate, .interrupt: return
      case .user1: gateway.reopenLogs()
      case .hangUp: say("tollgate: reloading is not supported yet; nothing has changed")
      }
    }
  }
}
