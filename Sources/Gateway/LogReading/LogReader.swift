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
  /// Lines of requests so far.
  package private(set) var requestCount: UInt64 = 0
  package private(set) var notUnderstoodCount: UInt64 = 0
  /// Of the conditions on what is no field of a log: claims, and what was misspelled. Those that no
  /// line had yet.
  private var unseen: [Int] = []
  /// The last line, without its line feed, goes on to be this long at most.
  private static let lineBytesMax = 1 << 20

  /// The claims that every reader looks for.
  private static let standardClaims = ["client_id", "sub"]

  package init(_ filter: Filter) {
    self.filter = filter
    var more = Self.standardClaims
    for condition in filter.conditions where AccessLogField(name: condition.name) == nil {
      if !more.contains(condition.name) { more.append(condition.name) }
    }
    let line = LogLine(more: more + ["dropped_lines"])
    // All of them are in its table.
    numbers = filter.conditions.map { line.number(named: $0.name) ?? 0 }
    self.line = line
    droppedNumber = LogLine.number(ofMore: more.count)
    unseen = filter.conditions.indices.filter { index in
      let condition = filter.conditions[index]
      return numbers[index] >= AccessLogField.allCases.count && !condition.asksForNothing
        && !Self.standardClaims.contains(condition.name)
    }
  }

  /// A name in a condition that no line so far had a value of, where such lines were read, and the
  /// field that may have been meant.
  package var unknownField: (name: String, nearest: String?)? {
    guard requestCount > 0, let index = unseen.first else { return nil }
    let name = filter.conditions[index].name
    let fields = AccessLogField.allCases.filter { $0 != .claims }.map(\.name)
    return (name, Spelling.nearest(to: name, among: fields))
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
    if text.isEmpty || text.count == 1 && text[0] == UInt8(ascii: "\r") { return }
    guard line.parse(text) else {
      notUnderstoodCount &+= 1
      return body(.notUnderstood, line, text)
    }
    if line.range(.status) == nil {
      guard let range = line.range(number: droppedNumber),
        let count = Decimal.parse(text.extracting(range))
      else {
        notUnderstoodCount &+= 1
        return body(.notUnderstood, line, text)
      }
      return body(.dropped(count), line, text)
    }
    requestCount &+= 1
    if !unseen.isEmpty { unseen.removeAll { line.range(number: numbers[$0]) != nil } }
    if isWanted(text) { body(.request, line, text) }
  }

  private func isWanted(_ text: Span<UInt8>) -> Bool {
    if filter.isRefusedOnly, line.range(.reason) == nil { return false }
    for (condition, number) in zip(filter.conditions, numbers) {
      if condition.isOfNumbers, condition.name == AccessLogField.durationMs.name {
        // The formats have other units.
        guard let micros = line.micros(.durationMs, in: text), condition.holds(thousandths: micros)
        else { return false }
      } else if let range = line.range(number: number) {
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
