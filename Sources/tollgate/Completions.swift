/// What has shells complete this program's commands, options and files; made of the commands as
/// they are declared.
enum Completions {
  enum Shell: String, CaseIterable {
    case bash, zsh, fish
  }

  static func run(_ arguments: [String]) throws(Wrong) -> CommandLineTool.ExitStatus {
    let named = try Options.arguments(arguments, of: .completions, max: 1)
    guard let name = named.first, let shell = Shell(rawValue: name) else {
      throw Wrong(text: "expected bash, zsh or fish")
    }
    let text =
      switch shell {
      case .bash: bash
      case .zsh: zsh
      case .fish: fish
      }
    Output.line(text, terminator: "")
    return .well
  }

  private static let names = Command.all.map(\.name)

  // bash: the function fills COMPREPLY by the words before the cursor. `=` is a word of its own.

  private static var bash: String {
    var cases: [String] = []
    for command in Command.all {
      var lines = ["    \(command.name))", "      case $prev in"]
      for option in command.options {
        guard let value = option.value else { continue }
        let reply = bash(value)
        lines.append("        \(option.names.joined(separator: "|"))) \(reply); return ;;")
      }
      let options = (command.options + [Command.help]).flatMap(\.names)
      lines += [
        "      esac",
        "      if [[ $cur == -* ]]; then",
        "        COMPREPLY=($(compgen -W '\(options.joined(separator: " "))' -- \"$cur\"))",
        "      else",
        "        \(bash(command.arguments))",
        "      fi ;;",
      ]
      cases += lines
    }
    return """
      # bash completion of tollgate
      _tollgate() {
        local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
        if [[ $cur == = ]]; then
          cur=
        elif [[ $prev == = ]]; then
          prev=${COMP_WORDS[COMP_CWORD - 2]}
        fi
        COMPREPLY=()
        if ((COMP_CWORD == 1)); then
          COMPREPLY=($(compgen -W '\(names.joined(separator: " "))' -- "$cur"))
          return
        fi
        case ${COMP_WORDS[1]} in
      \(cases.joined(separator: "\n"))
        esac
      }
      complete -F _tollgate tollgate

      """
  }

  private static let bashFiles =
    "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\"))"

  private static func bash(_ value: Command.Value) -> String {
    switch value {
    case .text: ":"
    case .file: bashFiles
    case .words(let words): bash(words)
    }
  }

  private static func bash(_ arguments: Command.Arguments) -> String {
    switch arguments {
    case .none, .admin: ":"
    case .routes, .files: bashFiles
    case .words(let words): bash(words)
    case .commands: bash(names)
    }
  }

  private static func bash(_ words: [String]) -> String {
    "COMPREPLY=($(compgen -W '\(words.joined(separator: " "))' -- \"$cur\"))"
  }

  // zsh: one list of specifications a command, for `_arguments`.

  private static var zsh: String {
    let described = Command.all.map { "    '\($0.name):\(zshText($0.summary))'" }
    var cases: [String] = []
    for command in Command.all {
      var specifications = (command.options + [Command.help]).flatMap(zsh)
      switch command.arguments {
      case .none, .admin: break
      case .routes, .files: specifications.append("'*:file:_files'")
      case .words(let words): specifications.append("'1:word:(\(words.joined(separator: " ")))'")
      case .commands: specifications.append("'1:command:(\(names.joined(separator: " ")))'")
      }
      cases.append(
        "    \(command.name)) _arguments \\\n      "
          + specifications.joined(separator: " \\\n      ") + " ;;")
    }
    return """
      #compdef tollgate
      # zsh completion of tollgate
      _tollgate() {
        local -a commands=(
      \(described.joined(separator: "\n"))
        )
        if ((CURRENT == 2)); then
          _describe command commands
          return
        fi
        shift words
        ((CURRENT--))
        case $words[1] in
      \(cases.joined(separator: "\n"))
        esac
      }
      if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
        _tollgate "$@"
      else
        compdef _tollgate tollgate
      fi

      """
  }

  private static func zsh(_ option: Command.Option) -> [String] {
    let action =
      switch option.value {
      case nil: ""
      case .text(let name): ":\(zshText(name)):"
      case .file: ":file:_files"
      case .words(let words): ":word:(\(words.joined(separator: " ")))"
      }
    return option.names.map { name in
      let equals = option.value != nil && name.hasPrefix("--") ? "=" : ""
      return "'*\(name)\(equals)[\(zshText(option.help))]\(action)'"
    }
  }

  /// Without what means something inside of a specification or a quoted word.
  private static func zshText(_ text: String) -> String {
    var clean = ""
    for character in text {
      switch character {
      case "'": clean += ""
      case ":", "[", "]", "\\": clean += "\\\(character)"
      default: clean.append(character)
      }
    }
    return clean
  }

  // fish: one line an option.

  private static var fish: String {
    var lines = ["# fish completion of tollgate", "complete -c tollgate -f"]
    for command in Command.all {
      lines.append(
        "complete -c tollgate -n __fish_use_subcommand -a \(command.name) "
          + "-d '\(fishText(command.summary))'")
    }
    for command in Command.all {
      let start = "complete -c tollgate -n '__fish_seen_subcommand_from \(command.name)'"
      for option in command.options + [Command.help] {
        let names = option.names.map { name in
          name.hasPrefix("--") ? "-l \(name.dropFirst(2))" : "-s \(name.dropFirst())"
        }
        let value =
          switch option.value {
          case nil: ""
          case .text: " -x"
          case .file: " -r -F"
          case .words(let words): " -x -a '\(words.joined(separator: " "))'"
          }
        lines.append(
          "\(start) \(names.joined(separator: " "))\(value) -d '\(fishText(option.help))'")
      }
      switch command.arguments {
      case .none, .admin: break
      case .routes, .files: lines.append("\(start) -F")
      case .words(let words): lines.append("\(start) -a '\(words.joined(separator: " "))'")
      case .commands: lines.append("\(start) -a '\(names.joined(separator: " "))'")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func fishText(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
  }
}
