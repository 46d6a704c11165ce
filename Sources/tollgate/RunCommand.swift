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
    guard let path = RoutesArgument.parse(arguments, command: "run") else { return .usage }
    let files = RecordedFiles(routesAt: path)
    let loaded = RoutesArgument.load(path, files)
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
    DescriptorShares.raiseProcessLimit()
    let gateway: Gateway
    do throws(StartFailure) {
      gateway = try Gateway.start(configuration) { log.say("tollgate: \($0)") }
    } catch {
      return RoutesArgument.explain(error, loaded)
    }
    RoutesArgument.warn(gateway.warnings, loaded) { log.say($0) }
    if let warning = OpenFiles.warning(for: configuration) { log.say(warning) }
    for place in gateway.places { log.say("tollgate: listening at \(place)") }
    var reloading = Reloading(gateway, path: path, files, configuration) { log.say($0) }
    let shutdown = serveUntilEnded(gateway, configuration.shutdown) { reloading.look($0) }
    end(gateway, shutdown) { log.say($0) }
    return .well
  }

  /// Serves until SIGTERM or SIGINT, without reloads.
  static func serveUntilEnded(
    _ gateway: Gateway, _ shutdown: ShutdownSettings, say: (String) -> Void
  ) {
    let shutdown = serveUntilEnded(gateway, shutdown) { reason in
      if reason == .asked { say("tollgate: there is no routes file to read again") }
      return nil
    }
    end(gateway, shutdown, say: say)
  }

  /// Serves until SIGTERM or SIGINT.
  ///
  /// - Parameter reload: looks whether there is another configuration, and gives how that one ends.
  private static func serveUntilEnded(
    _ gateway: Gateway, _ shutdown: ShutdownSettings,
    reload: (Reloading.Reason) -> ShutdownSettings?
  ) -> ShutdownSettings {
    var shutdown = shutdown
    while true {
      let reason: Reloading.Reason
      switch Signals.next(withinMs: Reloading.lookEveryMs) {
      case .terminate, .interrupt: return shutdown
      case .user1:
        gateway.reopenLogs()
        continue
      case .hangUp: reason = .asked
      case nil: reason = .filesChanged
      }
      if let other = reload(reason) { shutdown = other }
    }
  }

  /// Drains; a second signal ends at once.
  ///
  /// - Parameter say: takes a line for the operator, and no time.
  private static func end(
    _ gateway: Gateway, _ shutdown: ShutdownSettings, say: (String) -> Void
  ) {
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
}
