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

  /// What `tollgate help` prints.
  static var usage: String {
    let commands = Command.all.flatMap { command in
      let forms = command.options.isEmpty ? command.forms[0] : ""
      return Command.entry(
        forms.isEmpty ? command.name : "\(command.name) \(forms)", command.summary, column: 29)
    }
    return """
      Usage: tollgate COMMAND

      \(commands.joined(separator: "\n"))

      tollgate help COMMAND says which options there are. ROUTES is routes.json here, else
      /etc/tollgate/routes.json. ADMIN is the gateway's admin address; where none is given, the one
      that ROUTES names.
      Exit status: 0 well, 1 the input is wrong (or it can't serve), 2 usage, 3 it could not run,
      4 (of explain) the request would be refused.

      """
  }

  static func run(_ arguments: [String]) -> Int32 {
    guard let first = arguments.first else {
      Output.error(usage, terminator: "")
      return ExitStatus.usage.rawValue
    }
    let rest = Array(arguments.dropFirst())
    let other = ["--help": "help", "-h": "help", "--version": "version"]
    guard let command = Command.named(other[first] ?? first) else {
      let hint = Spelling.hint(for: first, among: Command.all.map(\.name))
      Output.error("tollgate: unknown command \"\(first)\"\(hint)\n\n\(usage)", terminator: "")
      return ExitStatus.usage.rawValue
    }
    if rest.contains(where: Command.help.names.contains) {
      Output.line(command.name == "help" ? usage : command.usage, terminator: "")
      return ExitStatus.well.rawValue
    }
    do throws(Wrong) {
      return try command.action(rest).rawValue
    } catch {
      let hint = error.status == .usage ? "\nSee tollgate \(command.name) --help." : ""
      Output.error("tollgate \(command.name): \(error.text)\(hint)")
      return error.status.rawValue
    }
  }

  /// `tollgate help [COMMAND]`.
  static func help(_ arguments: [String]) throws(Wrong) -> ExitStatus {
    guard let name = try Options.arguments(arguments, of: .helping, max: 1).first else {
      Output.line(usage, terminator: "")
      return .well
    }
    guard let command = Command.named(name) else {
      let hint = Spelling.hint(for: name, among: Command.all.map(\.name))
      throw Wrong(text: "there is no command \"\(name)\"\(hint)")
    }
    Output.line(command.name == "help" ? usage : command.usage, terminator: "")
    return .well
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

  /// What was asked for, as it is.
  static func bytes(_ bytes: [UInt8]) -> CommandLineTool.ExitStatus {
    do throws(SystemError) {
      try Files.write(bytes, to: 1)
      return .well
    } catch {
      return .couldNotRun
    }
  }

  private static func write(_ text: String, to raw: CInt) {
    // Nobody is left to be told when this fails.
    try? Files.write(Array(text.utf8), to: raw)
  }
}
