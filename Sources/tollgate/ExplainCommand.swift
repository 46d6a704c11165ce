import Gateway
import Glibc
import Reactor
import Wire

/// `tollgate explain`: what would happen to a request and why, step by step.
struct ExplainCommand {
  private var positional: [String] = []
  private var tokenPath: String?
  private var fields: [String] = []
  private var listener: String?
  private var isLive = false
  private var id: String?
  private var logPath: String?
  private var isJSON = false
  private var colouring = Colouring.auto

  static func run(_ arguments: [String]) throws(Wrong) -> CommandLineTool.ExitStatus {
    Signals.unblock()
    return try ExplainCommand(arguments).run()
  }

  private init(_ arguments: [String]) throws(Wrong) {
    // Before anything of them could be repeated in a message.
    if arguments.contains(where: PlainText.holdsToken) {
      throw Wrong(
        text: """
          a token among the arguments: every user of this machine can read those, and the shell \
          keeps them. Put it into a file, or pipe it in: --token FILE, --token -
          """)
    }
    var options = Options(arguments, of: .explain)
    while let item = try options.next() {
      switch item {
      case .option("--token"): tokenPath = try options.value()
      case .option("--header"): fields.append(try options.value())
      case .option("--listener"): listener = try options.value()
      case .option("--live"): isLive = true
      case .option("--id"): id = try options.value()
      case .option("--log"): logPath = try options.value()
      case .option("--json"): isJSON = true
      case .option("--no-color"): colouring = .never
      case .option: colouring = Colouring(rawValue: try options.value()) ?? .auto
      case .argument(let text): positional.append(text)
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
    let path = try RoutesArgument.parse(named, command: "explain")
    let loaded = RoutesArgument.load(path, takesSecrets: false)
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
