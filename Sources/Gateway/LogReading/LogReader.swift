import HTTP
import Reactor
import Wire

/// Reads an access log's lines as they come in pieces, and hands over those that are wanted.
package struct LogReader {
  /// Which lines are wanted: all of these hold.
  package struct Filter {
    package var conditions: [LogCondition] = []
    package var sinceMs: Int64?
    package var untilMs: Int64?
    /// Only those that were turned away.
    package var isRefusedOnly = false

    package init() {}
  }

  private let filter: Filter
  private let numbers: [Int]
  private var line: LogLine
  private var rest: [UInt8] = []
  /// The last line, without its line feed, goes on to be this long at most.
  private static let lineBytesMax = 1 << 20

  /// The claims that every reader looks for.
  private static let standardClaims = ["client_id", "sub"]

  package init(_ filter: Filter) {
    self.filter = filter
    var more = Self.standardClaims
    numbers = filter.conditions.map { condition in
      if let field = AccessLogField(name: condition.name), field != .claims {
        return Int(field.rawValue)
      }
      if let index = more.firstIndex(of: condition.name) { return LogLine.number(ofMore: index) }
      more.append(condition.name)
      return LogLine.number(ofMore: more.count - 1)
    }
    line = LogLine(more: more + ["dropped_lines"])
    droppedNumber = LogLine.number(ofMore: more.count)
  }

  private let droppedNumber: Int

  /// What is told of each line.
  package enum Event {
    /// A request that is wanted.
    case request
    case notUnderstood
    /// The gateway could not write so many lines.
    case dropped(UInt64)
  }

  /// Takes the next piece of a file.
  package mutating func read(
    _ piece: Span<UInt8>, _ body: (Event, LogLine, Span<UInt8>) -> Void
  ) {
    var start = 0
    if !rest.isEmpty {
      let end = ByteScan.firstLineFeed(in: piece, from: 0)
      rest.append(copying: piece.extracting(0..<end))
      guard end < piece.count else {
        if rest.count > Self.lineBytesMax { rest.removeLast(rest.count - Self.lineBytesMax) }
        return
      }
      let whole = rest
      take(whole.span, body)
      rest.removeAll(keepingCapacity: true)
      start = end + 1
    }
    while start < piece.count {
      let end = ByteScan.firstLineFeed(in: piece, from: start)
      if end == piece.count { break }
      take(piece.extracting(start..<end), body)
      start = end + 1
    }
    if start < piece.count { rest.append(copying: piece.extracting(start...)) }
  }

  /// The file has ended: what is left of it is a line as well.
  package mutating func finish(_ body: (Event, LogLine, Span<UInt8>) -> Void) {
    if !rest.isEmpty {
      let whole = rest
      take(whole.span, body)
    }
    rest = []
  }

  private mutating func take(
    _ text: Span<UInt8>, _ body: (Event, LogLine, Span<UInt8>) -> Void
  ) {
    if text.isEmpty { return }
    guard line.parse(text) else { return body(.notUnderstood, line, text) }
    if line.range(.status) == nil {
      guard let range = line.range(number: droppedNumber),
        let count = Decimal.parse(text.extracting(range))
      else { return body(.notUnderstood, line, text) }
      return body(.dropped(count), line, text)
    }
    if isWanted(text) { body(.request, line, text) }
  }

  private func isWanted(_ text: Span<UInt8>) -> Bool {
    if filter.isRefusedOnly, line.range(.reason) == nil { return false }
    for (condition, number) in zip(filter.conditions, numbers) {
      if let range = line.range(number: number) {
        if !condition.holds(text.extracting(range)) { return false }
      } else if !condition.holds(nil) {
        return false
      }
    }
    if filter.sinceMs != nil || filter.untilMs != nil {
      guard let ms = line.epochMs(in: text) else { return false }
      if let since = filter.sinceMs, ms < since { return false }
      if let until = filter.untilMs, ms >= until { return false }
    }
    return true
  }
}
