import Gateway
import Glibc
import HTTP
import Reactor
import Wire

/// `tollgate top`: a running gateway, live, in a terminal.
struct TopCommand {
  static let usage = """
    Usage: tollgate top [ADMIN] [OPTION…]

    Shows what a running gateway does, anew every two seconds, until Ctrl-C. ADMIN is its admin
    address; where none is given, the one that routes.json here, or else
    /etc/tollgate/routes.json, names.

      --every TIME   1s, 5s, 1m: another pace
      --once         one look, for a pipe or a file
      --json         the gateway's own document, once

    Exit status: 0 well, 2 usage, 3 no gateway answers there.

    """

  private var admin: [String] = []
  private var everyMs: Int64 = 2_000
  private var isOnce = false
  private var isRaw = false

  static func run(_ arguments: [String]) -> CommandLineTool.ExitStatus {
    var command = TopCommand()
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      switch argument {
      case "--once": command.isOnce = true
      case "--json": command.isRaw = true
      case "--every":
        guard let text = rest.popFirst(), let ms = Self.milliseconds(text) else {
          Output.error("tollgate top: --every wants a time such as 5s\nSee tollgate top --help.")
          return .usage
        }
        command.everyMs = ms
      default:
        guard !argument.hasPrefix("-") else {
          Output.error(
            "tollgate top: unknown option \"\(argument)\"\nSee tollgate top --help.")
          return .usage
        }
        command.admin.append(argument)
      }
    }
    do throws(Wrong) {
      return command.show(try AdminClient.address(command.admin, command: "top"))
    } catch {
      Output.error(error.text)
      return error.status
    }
  }

  private static func milliseconds(_ text: String) -> Int64? {
    for (unit, factor) in [("ms", 1), ("s", 1_000), ("m", 60_000)] as [(String, Int64)]
    where text.hasSuffix(unit) {
      guard let count = Int64(text.dropLast(unit.count)), count > 0, count < 100_000 else {
        return nil
      }
      return max(200, count * factor)
    }
    return nil
  }

  private func show(_ address: AdminAddress) -> CommandLineTool.ExitStatus {
    let isTerminal = isatty(1) == 1
    var view = TopView(paint: Colouring.auto.paint)
    let screen = isTerminal && !isOnce && !isRaw
    while true {
      guard let answer = AdminClient.ask(.get, "/status?json", at: address, withinMs: 5_000)
      else { return .couldNotRun }
      guard answer.status == 200, let status = Self.parse(answer.content) else {
        Output.error("tollgate top: \(address.description) is no gateway's admin address")
        return .couldNotRun
      }
      if isRaw {
        Output.line(String(decoding: answer.content, as: UTF8.self))
        return .well
      }
      let size =
        Terminal.size(1).map { TopView.Size(columns: $0.columns, rows: $0.rows) }
        ?? TopView.Size(columns: 160, rows: 1_000)
      let lines = view.lines(status, size, nowMs: Clock.monotonicNs() / 1_000_000)
      if screen {
        // From the top, each line to its end: nothing flickers as it would on a cleared screen.
        let text = lines.joined(separator: "\u{1B}[K\n")
        Output.line("\u{1B}[H\(text)\u{1B}[K\n\u{1B}[J", terminator: "")
      } else {
        Output.line(lines.joined(separator: "\n"))
      }
      if isOnce || !isTerminal { return .well }
      usleep(UInt32(clamping: everyMs * 1_000))
    }
  }

  private static func parse(_ bytes: [UInt8]) -> JSONNode? {
    let parser = JSONParser(.strict, bytesMax: 16 << 20, depthMax: 16, nodesMax: 1_000_000)
    return try? parser.parse(bytes)
  }
}
