import Gateway
import Glibc
import Reactor
import Wire

/// `tollgate explain`: what would happen to a request and why, step by step.
struct ExplainCommand {
  static let usage = """
    Usage: tollgate explain [ROUTES] METHOD URL [OPTION…]
           tollgate explain [ROUTES] --id REQUEST [--log FILE]

    Says what the gateway would do with a request and why: the route and the ones that nearly
    match, the token's claims and checks, who its caller is, the exchange, the request that the
    service would get. Nothing is sent to anybody. URL may be a path alone. ROUTES is routes.json
    here, else /etc/tollgate/routes.json.

      --token FILE|-        the caller's token, in a file or on standard input; never an argument,
                            which other users of the machine could read
      --header 'Name: value'  a field of the request; may be given several times
      --listener NAME       the listener that it comes in by, in place of the one that fits best
      --live                ask the token's issuer for its keys and metadata, and check the
                            signature (keys in a file are read without it)
      --id REQUEST          a request of the access log, by its id: what its line means, and the
                            route that it finds now
      --log FILE            the access log, in place of the one that the routes file names; "-" is
                            standard input, and files that end in .gz are unpacked
      --json                one JSON object
      --color WHEN          auto (default), always or never

    Exit status: 0 it would be forwarded or answered, 1 the routes file, the token's file or the
    log is wrong or can't be read, 2 usage, 3 the system refuses what is needed, 4 it would be
    refused (or was).

    """

  private var positional: [String] = []
  private var tokenPath: String?
  private var fields: [String] = []
  private var listener: String?
  private var isLive = false
  private var id: String?
  private var logPath: String?
  private var isJSON = false
  private var colouring = Colouring.auto

  static func run(_ arguments: [String]) -> CommandLineTool.ExitStatus {
    Signals.unblock()
    do throws(Wrong) {
      return try ExplainCommand(arguments).run()
    } catch {
      let hint = error.status == .usage ? "\nSee tollgate explain --help." : ""
      Output.error("tollgate explain: \(error.text)\(hint)")
      return error.status
    }
  }

  private static let valued = [
    "--token", "--header", "--listener", "--id", "--log", "--color",
  ]

  private init(_ arguments: [String]) throws(Wrong) {
    // Before anything of them could be repeated in a message.
    if arguments.contains(where: PlainText.holdsToken) {
      throw Wrong(
        text: """
          a token among the arguments: every user of this machine can read those, and the shell \
          keeps them. Put it into a file, or pipe it in: --token FILE, --token -
          """)
    }
    var options = Options(arguments, valued: Self.valued)
    while let argument = options.next() {
      switch argument {
      case "--token": tokenPath = try options.value(of: argument)
      case "--header", "-H": fields.append(try options.value(of: argument))
      case "--listener": listener = try options.value(of: argument)
      case "--live": isLive = true
      case "--id": id = try options.value(of: argument)
      case "--log": logPath = try options.value(of: argument)
      case "--json": isJSON = true
      case "--no-color": colouring = .never
      case "--color": colouring = try Colouring(option: try options.value(of: argument))
      default:
        if argument.hasPrefix("-") { throw Wrong(text: "unknown option \"\(argument)\"") }
        positional.append(argument)
      }
    }
    try checkUse()
  }

  private func checkUse() throws(Wrong) {
    if id != nil {
      guard positional.count <= 1 else { throw Wrong(text: "--id takes ROUTES and no request") }
      guard tokenPath == nil, fields.isEmpty, listener == nil, !isLive else {
        throw Wrong(text: "--id tells of a request as the log has it: only --log goes with it")
      }
      return
    }
    guard logPath == nil else { throw Wrong(text: "--log goes with --id") }
    guard (2...3).contains(positional.count) else {
      throw Wrong(text: "expected [ROUTES] METHOD URL, or --id REQUEST")
    }
  }

  private func run() throws(Wrong) -> CommandLineTool.ExitStatus {
    let named = positional.count == (id == nil ? 3 : 1) ? [positional[0]] : []
    // What is wrong with the arguments is told before files are looked for.
    let call = id == nil ? try call(token: nil) : nil
    guard let path = RoutesArgument.parse(named, command: "explain") else { return .usage }
    let loaded = RoutesArgument.load(path)
    guard let configuration = loaded.configuration else {
      for finding in loaded.warnings + loaded.problems { Output.error("\(finding)") }
      return .badInput
    }
    if let listener, !configuration.listeners.contains(where: { $0.name == listener }) {
      let names = configuration.listeners.map(\.name).joined(separator: ", ")
      throw Wrong(text: "no listener is named \"\(listener)\"; there is \(names)")
    }
    let question: Question
    if let id {
      question = .logged(try logged(id, configuration))
    } else if tokenPath != nil {
      question = .call(try self.call(token: try token()))
    } else if let call {
      question = .call(call)
    } else {
      return .usage
    }
    let explanation: Explanation
    do throws(StartFailure) {
      explanation =
        switch question {
        case .logged(let logged): try Explainer.explain(logged, by: configuration)
        case .call(let call): try Explainer.explain(call, by: configuration)
        }
    } catch {
      return RoutesArgument.explain(error, loaded)
    }
    show(explanation)
    return explanation.isRefused ? .refused : .well
  }

  private enum Question {
    case call(ExplainedCall)
    case logged(LoggedRequest)
  }

  private func call(token: [UInt8]?) throws(Wrong) -> ExplainedCall {
    do throws(ExplainedCall.Fault) {
      return try ExplainedCall(
        method: positional[positional.count - 2], url: positional[positional.count - 1],
        fields: fields, token: token, listener: listener, isLive: isLive)
    } catch {
      throw Wrong(text: error.text, status: token == nil ? .usage : .badInput)
    }
  }

  /// Far more than a token that a gateway takes.
  private static let tokenBytesMax = 256 << 10

  private func token() throws(Wrong) -> [UInt8] {
    let path = tokenPath ?? "-"
    var bytes: [UInt8] = []
    do throws(SystemError) {
      let input = path == "-" ? InputFile.standardInput() : try InputFile.open(path)
      var buffer = [UInt8](repeating: 0, count: 64 << 10)
      while bytes.count <= Self.tokenBytesMax {
        let count = try input.read(into: &buffer)
        if count == 0 { return bytes }
        bytes += buffer[..<count]
      }
    } catch {
      throw Wrong(text: "\(path): \(error)", status: .badInput)
    }
    throw Wrong(text: "\(path): too long for a token", status: .badInput)
  }

  private func logged(
    _ id: String, _ configuration: Configuration
  ) throws(Wrong) -> LoggedRequest {
    guard let path = logPath ?? configuration.accessLog?.output.path else {
      throw Wrong(text: "which log? The routes file names no file: --log FILE, or --log -")
    }
    let condition: LogCondition
    do throws(LogCondition.Fault) {
      condition = try LogCondition("id=\(id)")
    } catch {
      throw Wrong(text: error.text)
    }
    var filter = LogReader.Filter()
    filter.conditions = [condition]
    var reader = LogReader(filter)
    var found: LoggedRequest?
    var notUnderstood: UInt64 = 0
    func note(_ event: LogReader.Event, _ line: LogLine, _ text: Span<UInt8>) {
      switch event {
      case .request: found = LoggedRequest(line, text, id: id)
      case .notUnderstood: notUnderstood += 1
      case .dropped: break
      }
    }
    do throws(SystemError) {
      var input = path == "-" ? InputFile.standardInput() : try InputFile.open(path)
      var buffer = [UInt8](repeating: 0, count: 256 << 10)
      while true {
        let count = try input.read(into: &buffer)
        if count == 0 { break }
        reader.read(buffer.span.extracting(0..<count), note)
      }
      reader.finish(note)
      _ = input.finish()
    } catch {
      throw Wrong(text: "\(path): \(error)", status: .badInput)
    }
    if let found { return found }
    let others =
      notUnderstood > 0
      ? "; \(Numbers.grouped(notUnderstood)) lines were not understood (json, otel and ecs are)"
      : ""
    throw Wrong(text: "\(path) has no request \"\(id)\"\(others)", status: .badInput)
  }

  private func show(_ explanation: Explanation) {
    if isJSON {
      Output.line(String(decoding: explanation.json, as: UTF8.self), terminator: "")
      return
    }
    Output.line(explanation.text(colouring.paint), terminator: "")
  }
}
