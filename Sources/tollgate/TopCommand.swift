import Gateway
import Glibc
import HTTP
import Reactor
import Wire

/// `tollgate top`: a running gateway, live, in a terminal.
struct TopCommand {
  private var admin: [String] = []
  private var everyMs: Int64 = 2_000
  private var isOnce = false
  private var isRaw = false

  static func run(_ arguments: [String]) throws(Wrong) -> CommandLineTool.ExitStatus {
    var command = TopCommand()
    var options = Options(arguments, of: .top)
    while let item = try options.next() {
      switch item {
      case .option("--once"): command.isOnce = true
      case .option("--json"): command.isRaw = true
      case .option:
        guard let ms = Self.milliseconds(try options.value()) else {
          throw Wrong(text: "--every wants a time such as 5s")
        }
        command.everyMs = ms
      case .argument(let text): command.admin.append(text)
      }
    }
    return command.show(try AdminClient.address(command.admin, command: "top"))
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

  /// For so long one look counts what comes, in milliseconds.
  private static let onceMs: Int64 = 1_000

  private func show(_ address: AdminAddress) -> CommandLineTool.ExitStatus {
    let isTerminal = isatty(1) == 1
    var view = TopView(paint: Colouring.auto.paint)
    let screen = isTerminal && !isOnce && !isRaw
    var isFirst = true
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
        ?? TopView.Size(columns: 160, rows: 60)
      let lines = view.lines(status, size, nowMs: Clock.monotonicNs() / 1_000_000)
      // Rates are what came between two looks.
      if isFirst, !screen {
        isFirst = false
        usleep(UInt32(clamping: min(everyMs, Self.onceMs) * 1_000))
        continue
      }
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
