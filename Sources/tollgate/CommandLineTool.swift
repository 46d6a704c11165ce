import Gateway
import Glibc
import Reactor

/// What the operator can say.
enum CommandLineTool {
  /// ROUTES.md, "The command line".
  enum ExitStatus: Int32 {
    case well = 0
    /// The input is wrong.
    case badInput = 1
    case usage = 2
    /// It could not run: an address in use…
    case couldNotRun = 3
    /// `explain`: the request would be turned away.
    case refused = 4
  }

  static let usage = """
    Usage: tollgate COMMAND

      run [ROUTES]     serve what the routes file says; --watch: and reload it when it changes
                       --log-format json: what it says itself as JSON, a line each
      check [ROUTES]   say what is wrong with a routes file, and start nothing; --live asks
                       everybody whom it names
      explain [ROUTES] METHOD URL
                       say what would happen to a request and why, step by step
      reload [ADMIN]   have a running gateway read its routes file again, and say what changed
      health [ADMIN]   say whether a running gateway can serve, and what is missing
      logs [FILE…]     show an access log: aligned, filtered, followed or summed up
      top [ADMIN]      show a running gateway live: rates, latencies, refusals, servers
      demo [--once]    a whole system on this machine to try it out; --once checks it and ends
      schema           print the JSON Schema of the routes file, for editors
      version          print the version
      help             print this

    ROUTES is routes.json here, else /etc/tollgate/routes.json. ADMIN is the gateway's admin
    address; where none is given, the one that ROUTES names.
    explain, logs and top have options: tollgate logs --help.
    Exit status: 0 well, 1 the input is wrong (or it can't serve), 2 usage, 3 it could not run,
    4 (of explain) the request would be refused.

    """

  static func run(_ arguments: [String]) -> Int32 {
    let rest = Array(arguments.dropFirst())
    let status: ExitStatus
    if rest.contains("--help") || rest.contains("-h") {
      let ofCommand = [
        "explain": ExplainCommand.usage, "logs": LogsCommand.usage, "top": TopCommand.usage,
      ]
      Output.line(arguments.first.flatMap { ofCommand[$0] } ?? usage, terminator: "")
      return ExitStatus.well.rawValue
    }
    switch arguments.first {
    case "run": status = RunCommand.run(rest)
    case "check": status = CheckCommand.run(rest)
    case "explain": status = ExplainCommand.run(rest)
    case "reload": status = ReloadCommand.run(rest)
    case "health": status = HealthCommand.run(rest)
    case "logs": status = LogsCommand.run(rest)
    case "top": status = TopCommand.run(rest)
    case "demo": status = DemoCommand.run(rest)
    case "schema":
      do throws(SystemError) {
        try Files.write(RoutesFile.schema, to: 1)
        status = .well
      } catch {
        status = .couldNotRun
      }
    case "version", "--version":
      Output.line("tollgate \(Version.text)")
      status = .well
    case "help", "--help", "-h":
      Output.line(usage, terminator: "")
      status = .well
    case nil:
      Output.error(usage, terminator: "")
      status = .usage
    case .some(let other):
      Output.error("tollgate: unknown command \"\(other)\"\n\n\(usage)", terminator: "")
      status = .usage
    }
    return status.rawValue
  }
}

/// Lines for the operator: what was asked for to standard output, everything else to standard
/// error.
enum Output {
  static func line(_ text: String, terminator: String = "\n") {
    write(text + terminator, to: 1)
  }

  static func error(_ text: String, terminator: String = "\n") {
    write(text + terminator, to: 2)
  }

  private static func write(_ text: String, to raw: CInt) {
    // Nobody is left to be told when this fails.
    try? Files.write(Array(text.utf8), to: raw)
  }
}
