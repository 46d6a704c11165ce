/// A command of the command line, declared once: its reader, its help and the shells' completions
/// are made of this.
struct Command: Sendable {
  let name: String
  /// What may stand behind the name; each way of calling it on a line of its own.
  var forms = [""]
  /// What it does, on a line.
  let summary: String
  /// More about it; lines as they are printed.
  var about = ""
  var arguments = Arguments.none
  var options: [Option] = []
  var exitStatus = "0 well, 2 usage."
  let action: @Sendable ([String]) throws(Wrong) -> CommandLineTool.ExitStatus

  /// What its arguments are, for completions.
  enum Arguments: Sendable {
    case none
    /// A routes file, and for `explain` more.
    case routes
    case files
    /// An address, which nobody can guess.
    case admin
    case words([String])
    case commands
  }

  struct Option: Sendable {
    /// The one that its reader knows it by first.
    let names: [String]
    var value: Value?
    let help: String

    init(_ names: String..., value: Value? = nil, help: String) {
      self.names = names
      self.value = value
      self.help = help
    }
  }

  /// What stands behind an option.
  enum Value: Sendable {
    /// Its name in the help.
    case text(String)
    case file(String)
    /// One of a few.
    case words([String])

    var name: String {
      switch self {
      case .text(let name), .file(let name): name
      case .words(let words): words.joined(separator: "|")
      }
    }
  }

  /// Every command has it, and none reads it: it is looked for first.
  static let help = Option("--help", "-h", help: "print this")
}

extension Command {
  /// What `tollgate NAME --help` prints.
  var usage: String {
    var lines: [String] = []
    for (index, form) in forms.enumerated() {
      let lead = index == 0 ? "Usage: " : "       "
      lines.append("\(lead)tollgate \(name)\(form.isEmpty ? "" : " \(form)")")
    }
    lines += ["", about.isEmpty ? Self.sentence(summary) : about, ""]
    for option in options + [Self.help] {
      let value = option.value.map { " \($0.name)" } ?? ""
      lines += Self.entry(option.names.joined(separator: ", ") + value, option.help, column: 24)
    }
    lines += ["", "Exit status: \(exitStatus)", ""]
    return lines.joined(separator: "\n")
  }

  /// A word and what it means, in columns; where the word is long the meaning begins below it.
  static func entry(_ word: String, _ meaning: String, column: Int) -> [String] {
    let indent = String(repeating: " ", count: column)
    var lines: [String] = []
    var line = "  \(word)"
    if line.count > column - 2 {
      lines.append(line)
      line = indent
    } else {
      line += String(repeating: " ", count: column - line.count)
    }
    var isEmpty = true
    for part in meaning.split(separator: " ") {
      if !isEmpty, line.count + 1 + part.count > widthMax {
        lines.append(line)
        (line, isEmpty) = (indent, true)
      }
      line += isEmpty ? "\(part)" : " \(part)"
      isEmpty = false
    }
    return lines + [line]
  }

  /// Terminals of 80 columns are rare, and wide ones are for logs.
  private static let widthMax = 96

  private static func sentence(_ text: String) -> String {
    "\(text.prefix(1).uppercased())\(text.dropFirst())."
  }
}
