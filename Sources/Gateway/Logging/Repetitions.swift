/// Which lines for the operator are said again and which are only counted, so that trouble that
/// comes again and again does not hide all other.
///
/// The first few of the same line are said; what more comes within a minute of the first is counted,
/// and the count is said when the minute is over. Owns no clock.
struct Repetitions {
  static let windowMs: Int64 = 60_000
  /// So many of the same line are said in a window.
  static let saidMax = 5
  /// So many lines are told apart; beyond that all others count as one.
  static let linesMax = 256

  private struct Window {
    let startedMs: Int64
    var count = 0
  }

  private var windows: [OperatorLine: Window] = [:]
  private static let others: OperatorLine = "other lines"

  /// Notes a line; whether it is to be said.
  mutating func take(_ line: OperatorLine, nowMs: Int64) -> Bool {
    let key = windows[line] == nil && windows.count >= Self.linesMax ? Self.others : line
    var window = windows[key] ?? Window(startedMs: nowMs)
    window.count += 1
    windows[key] = window
    return window.count <= Self.saidMax
  }

  /// Ends the windows whose time is over.
  ///
  /// - Returns: for those with lines that were left out, how often that was.
  mutating func takeOver(nowMs: Int64) -> [OperatorLine] {
    var lines: [OperatorLine] = []
    for (line, window) in windows where nowMs - window.startedMs >= Self.windowMs {
      windows[line] = nil
      let leftOut = window.count - Self.saidMax
      if leftOut > 0 {
        lines.append(
          OperatorLine(line.level, "\(line.text) (left out here \(leftOut) times: it repeats)"))
      }
    }
    return lines
  }
}
