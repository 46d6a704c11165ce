import Gateway

/// What one step of the walk saw, and what of it was wrong.
final class Findings {
  private(set) var seen: [String] = []
  private(set) var wrong: [String] = []
  var logLine: String?

  func see(_ text: String) { seen.append(text) }

  /// - Parameter complaint: what was expected and what came instead.
  func expect(_ holds: Bool, _ complaint: @autoclosure () -> String) {
    if !holds { wrong.append(complaint()) }
  }
}

/// Shows the walk's steps.
struct WalkReport: Sendable {
  private static let wrongShownMax = 5

  private let paint: Paint
  private let print: @Sendable (String) -> Void

  init(_ paint: Paint, _ print: @escaping @Sendable (String) -> Void) {
    self.paint = paint
    self.print = print
  }

  func begin(_ system: DemoSystem) {
    let services = system.services.map { "\($0.name) \($0.url)" }.joined(separator: ", ")
    print(
      """
      \(paint.bold("Tollgate's demo walks through itself, on this machine only."))
        gateway            \(system.gatewayURL)
        identity provider  \(system.providerURL), the token service too
        services           \(services)

      """)
  }

  func show(_ number: Int, _ title: String, _ findings: Findings) {
    let holds = findings.wrong.isEmpty
    let mark = holds ? paint.green("✓") : paint.boldRed("✗")
    var lines = ["\(mark) \(number < 10 ? " " : "")\(number)  \(title)"]
    for text in findings.seen { lines.append("       \(text)") }
    for text in findings.wrong.prefix(Self.wrongShownMax) {
      lines.append("       \(paint.boldRed("wrong:")) \(text)")
    }
    let rest = findings.wrong.count - Self.wrongShownMax
    if rest > 0 { lines.append("       and \(rest) more like these") }
    if let line = findings.logLine { lines.append("       \(paint.dim(line))") }
    print(lines.joined(separator: "\n"))
  }

  func end(held: Int, of count: Int, elapsedMs: Int64) {
    let verdict =
      held == count
      ? paint.green("All \(count) steps held") + ", in \(elapsedMs) ms."
      : paint.boldRed("\(count - held) of \(count) steps did not hold.")
    let next =
      held == count
      ? "Next: `tollgate demo` keeps it running and prints curl lines to paste; README.md says the"
        + " rest."
      : "\"wrong\" says what was expected; the access log's line of the request stands below."
    print("\n\(verdict)\n\(next)")
  }
}
