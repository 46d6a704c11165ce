import Gateway
import Glibc
import Reactor

/// Why a command can't do what it was asked, for the operator.
struct Wrong: Error {
  let text: String
  var status = CommandLineTool.ExitStatus.usage
}

/// A command's arguments, one after the other.
struct Options {
  private var rest: ArraySlice<String>
  /// Those that take a value, as `--name value` or `--name=value`.
  private let valued: [String]

  init(_ arguments: [String], valued: [String]) {
    rest = arguments[...]
    self.valued = valued
  }

  /// The next argument; a value behind `=` is left for `value`.
  mutating func next() -> String? {
    guard let argument = rest.popFirst() else { return nil }
    guard argument.hasPrefix("--"), let sign = argument.firstIndex(of: "="),
      let name = valued.first(where: { $0 == argument[..<sign] })
    else { return argument }
    rest.insert(String(argument[argument.index(after: sign)...]), at: rest.startIndex)
    return name
  }

  /// What stands behind an option that takes a value.
  mutating func value(of option: String) throws(Wrong) -> String {
    guard let value = rest.popFirst() else { throw Wrong(text: "\(option) needs a value") }
    return value
  }
}

/// When a command's output is coloured: `--color`.
enum Colouring: String {
  case auto, always, never

  init(option value: String) throws(Wrong) {
    guard let colouring = Colouring(rawValue: value) else {
      throw Wrong(text: "--color is auto, always or never, not \"\(value)\"")
    }
    self = colouring
  }

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
