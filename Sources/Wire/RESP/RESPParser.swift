/// Reads a server's replies, one after another, however their bytes come.
///
/// A value that knows no socket. Strict, because a reader that guesses where a reply ends hands one
/// caller what was meant for another; bounded, because the server is somebody else's.
package struct RESPParser: Sendable {
  package enum Outcome: Equatable {
    case incomplete
    /// A reply, and how many bytes it took from the front.
    case reply(RESPReply, consumed: Int)
  }

  private let limits: RESPLimits
  /// How far the present reply was understood.
  private var position = 0
  /// How far the line at `position` was searched for its end.
  private var searched = 0
  /// The length of the bulk string at `position`, whose length line was read.
  private var bulkCount: Int?
  /// Arrays that have begun, outermost first.
  private var open: [OpenArray] = []
  private var elementCount = 0

  private struct OpenArray {
    var missing: Int
    var elements: [RESPReply] = []
  }

  package init(_ limits: RESPLimits) { self.limits = limits }

  /// Goes on with a reply. After `.incomplete`, call again with the same bytes and more: none is
  /// looked at twice. After a reply, call with what is behind it.
  package mutating func parse(_ bytes: Span<UInt8>) throws(RESPFault) -> Outcome {
    while let value = try nextValue(bytes) {
      if let reply = close(with: value) {
        let consumed = position
        self = RESPParser(limits)
        return .reply(reply, consumed: consumed)
      }
    }
    return .incomplete
  }

  /// The next value that is no array with elements; nil where bytes are missing.
  private mutating func nextValue(_ bytes: Span<UInt8>) throws(RESPFault) -> RESPReply? {
    while true {
      if let bulkCount {
        guard bytes.count - position >= bulkCount + 2 else { return nil }
        let end = position + bulkCount
        guard bytes[end] == 0x0D, bytes[end + 1] == 0x0A else { throw .lineEnd }
        let content = copy(bytes, position..<end)
        advance(to: end + 2)
        return .bulk(content)
      }
      guard let line = try findLine(bytes) else { return nil }
      let kind = bytes[line.lowerBound - 1]
      switch kind {
      case UInt8(ascii: "+"):
        advance(to: line.upperBound + 2)
        return .text(copy(bytes, line))
      case UInt8(ascii: "-"):
        advance(to: line.upperBound + 2)
        return .error(copy(bytes, line))
      case UInt8(ascii: ":"):
        let number = try number(bytes.extracting(line), mayHaveSign: true)
        advance(to: line.upperBound + 2)
        return .integer(number)
      case UInt8(ascii: "$"):
        let count = try length(bytes.extracting(line))
        advance(to: line.upperBound + 2)
        guard let count else { return .null }
        guard count <= limits.bulkBytesMax else { throw .bulkTooLong }
        bulkCount = count
      case UInt8(ascii: "*"):
        let count = try length(bytes.extracting(line))
        advance(to: line.upperBound + 2)
        guard let count else { return .null }
        if count == 0 { return .array([]) }
        guard open.count < limits.depthMax else { throw .tooDeep }
        guard count <= limits.elementsMax - elementCount else { throw .tooManyElements }
        elementCount += count
        open.append(OpenArray(missing: count))
      default: throw .kind(kind)
      }
    }
  }

  /// Puts a value where it belongs; the whole reply, where that was its last.
  private mutating func close(with value: RESPReply) -> RESPReply? {
    var value = value
    while var array = open.popLast() {
      array.elements.append(value)
      array.missing -= 1
      if array.missing > 0 {
        open.append(array)
        return nil
      }
      value = .array(array.elements)
    }
    return value
  }

  private mutating func advance(to end: Int) {
    position = end
    searched = end
    bulkCount = nil
  }

  /// The line at `position` without its first byte and its end; nil where that is not there yet.
  private mutating func findLine(_ bytes: Span<UInt8>) throws(RESPFault) -> Range<Int>? {
    guard position < bytes.count else { return nil }
    let start = position + 1
    // A wrong first byte is refused at once, and not when its line has ended.
    switch bytes[position] {
    case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "$"),
      UInt8(ascii: "*"):
      break
    case let other: throw .kind(other)
    }
    searched = max(searched, start)
    while searched < bytes.count {
      guard searched - start <= limits.lineBytesMax else { throw .lineTooLong }
      if bytes[searched] == 0x0A { throw .lineEnd }
      if bytes[searched] == 0x0D {
        guard searched + 1 < bytes.count else { return nil }
        guard bytes[searched + 1] == 0x0A else { throw .lineEnd }
        return start..<searched
      }
      searched += 1
    }
    return nil
  }

  /// A length, nil for −1.
  private func length(_ line: Span<UInt8>) throws(RESPFault) -> Int? {
    if line.count == 2, line[0] == UInt8(ascii: "-"), line[1] == UInt8(ascii: "1") { return nil }
    guard let count = Int(exactly: try number(line, mayHaveSign: false)) else { throw .number }
    return count
  }

  private func number(_ line: Span<UInt8>, mayHaveSign: Bool) throws(RESPFault) -> Int64 {
    var start = 0
    var isNegative = false
    if mayHaveSign, line.count > 1 {
      isNegative = line[0] == UInt8(ascii: "-")
      if isNegative || line[0] == UInt8(ascii: "+") { start = 1 }
    }
    guard start < line.count, line.count == start + 1 || line[start] != UInt8(ascii: "0") else {
      throw .number
    }
    var value: Int64 = 0
    for index in start..<line.count {
      guard ByteClass.isDigit(line[index]) else { throw .number }
      // Downwards, because the lowest number has no positive counterpart.
      let digit = Int64(line[index] &- UInt8(ascii: "0"))
      let (tens, overflows) = value.multipliedReportingOverflow(by: 10)
      let (next, overflowsToo) = tens.subtractingReportingOverflow(digit)
      guard !overflows, !overflowsToo else { throw .number }
      value = next
    }
    if isNegative { return value }
    guard value != .min else { throw .number }
    return -value
  }

  private func copy(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
    [UInt8](capacity: range.count) { output in
      for index in range { output.append(bytes[index]) }
    }
  }
}
