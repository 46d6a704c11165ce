import Gateway
import Glibc
import Reactor

/// Why a command can't do what it was asked, for the operator.
struct Wrong: Error {
  let text: String
  var status = CommandLineTool.ExitStatus.usage
}

/// A command's arguments, one after the other, read by what the command declares.
struct Options {
  enum Item: Equatable {
    /// By the first of its names; its value is to be taken with `value`.
    case option(String)
    case argument(String)
  }

  private let command: Command
  private var rest: ArraySlice<String>
  private var last: Command.Option?
  /// Behind `--` all are arguments.
  private var isPlain = false

  init(_ arguments: [String], of command: Command) {
    self.command = command
    rest = arguments[...]
  }

  /// The next one; a value behind `=` is left for `value`.
  mutating func next() throws(Wrong) -> Item? {
    guard let argument = rest.popFirst() else { return nil }
    if isPlain || argument == "-" || !argument.hasPrefix("-") { return .argument(argument) }
    if argument == "--" {
      isPlain = true
      return try next()
    }
    var name = argument
    if argument.hasPrefix("--"), let sign = argument.firstIndex(of: "=") {
      name = String(argument[..<sign])
      if let option = find(name), option.value == nil {
        throw Wrong(text: "\(name) takes no value")
      }
      rest.insert(String(argument[argument.index(after: sign)...]), at: rest.startIndex)
    }
    guard let option = find(name) else {
      let names = (command.options + [Command.help]).flatMap(\.names)
      throw Wrong(text: "unknown option \"\(name)\"\(Spelling.hint(for: name, among: names))")
    }
    last = option
    return .option(option.names[0])
  }

  private func find(_ name: String) -> Command.Option? {
    command.options.first { $0.names.contains(name) }
  }

  /// What stands behind the option that came last.
  mutating func value() throws(Wrong) -> String {
    let name = last?.names[0] ?? ""
    let value = rest.popFirst()
    if case .words(let words) = last?.value, !words.contains(value ?? "") {
      let expected = words.dropLast().joined(separator: ", ") + " or \(words.last ?? "")"
      throw Wrong(text: "\(name) is \(expected), not \"\(value ?? "")\"")
    }
    guard let value else { throw Wrong(text: "\(name) needs a value") }
    return value
  }

  /// Reads the arguments of a command that has no options.
  ///
  /// - Returns: `max` arguments at most.
  static func arguments(
    _ arguments: [String], of command: Command, max: Int
  ) throws(Wrong) -> [String] {
    var options = Options(arguments, of: command)
    var found: [String] = []
    while let item = try options.next() {
      if case .argument(let text) = item { found.append(text) }
    }
    guard found.count <= max else { throw Wrong(text: "unknown argument \"\(found[max])\"") }
    return found
  }
}

extension Spelling {
  /// What stands behind a word that nobody knows: `; did you mean "check"?`, or nothing.
  static func hint(for word: String, among candidates: [String]) -> String {
    nearest(to: word, among: candidates).map { "; did you mean \"\($0)\"?" } ?? ""
  }
}

/// When a command's output is coloured: `--color`.
enum Colouring: String {
  case auto, always, never

  /// By itself at a terminal that can, and not against https://no-color.org.
  var paint: Paint {
    switch self {
    case .auto: Paint(isOn: isatty(1) == 1 && Self.isWelcome)
    case .always: Paint(isOn: true)
    case .never: Paint(isOn: false)
    }
  }

  /// Whether nobody has said that there be none.
  static var isWelcome: Bool {
    (Surroundings.variable("NO_COLOR") ?? "").isEmpty && Surroundings.variable("TERM") != "dumb"
  }
}
