/// A response's head, understood in the light of the request that it answers.
///
/// Every range counts from the first byte that the parser was handed. A value that is parsed into
/// again and again keeps its arrays' room.
package final class ResponseHead {
  /// 100–999.
  package internal(set) var status: UInt16 = 0
  /// The reason phrase; may be empty.
  package internal(set) var reason = 0..<0
  /// 1 for HTTP/1.1, 0 for HTTP/1.0.
  package internal(set) var minorVersion: UInt8 = 1
  package internal(set) var section = FieldSection()
  /// The head's length, the empty line at its end included.
  package internal(set) var byteCount = 0
  /// How the content ends.
  package internal(set) var framing = BodyFraming.none
  /// Whether the connection may be used again once the content was read. Never with `untilClose`,
  /// nor where a status without content came with fields that announce some.
  package internal(set) var keepAlive = true
  /// Whether Upgrade is there and Connection names it, as a 101 must have it (RFC 9110 §7.8).
  package internal(set) var upgradeAccepted = false

  package init() {}

  /// The field lines, in the order received.
  package var fields: [FieldLine] { section.lines }
  /// The names that occur with their exact spelling.
  package var names: FieldNameSet { section.names }
  /// The first field line of that exact name.
  package func first(_ name: FieldName) -> FieldLine? {
    section.names.contains(name) ? section.lines.first(name) : nil
  }
  /// A 1xx other than 101: another head follows on the same connection (RFC 9110 §15.2).
  package var isInterim: Bool { status < 200 && status != 101 }

  /// Back to an empty head that keeps its arrays' room.
  func removeAll() {
    section.removeAll()
    status = 0
    reason = 0..<0
    byteCount = 0
    framing = .none
    keepAlive = true
    upgradeAccepted = false
  }

  /// Reads `VERSION SP STATUS SP REASON` (RFC 9112 §4); the space before an empty reason may be
  /// missing, as many servers have it.
  func readStatusLine(
    _ bytes: Span<UInt8>, from start: Int, to end: Int
  ) throws(ResponseFault) {
    let statusStart = start + 9
    guard end - start >= 12, bytes[start + 8] == UInt8(ascii: " ") else {
      throw .malformed(.statusLineInvalid)
    }
    switch HTTPVersion.read(bytes, from: start, to: start + 8) {
    case .minor(let minor): minorVersion = minor
    case .unsupported: throw .versionUnsupported
    case .invalid: throw .malformed(.statusLineInvalid)
    }
    var number: UInt16 = 0
    for index in statusStart..<(statusStart + 3) {
      guard ByteClass.isDigit(bytes[index]) else { throw .malformed(.statusLineInvalid) }
      number = number * 10 + UInt16(bytes[index] &- UInt8(ascii: "0"))
    }
    let statusEnd = statusStart + 3
    guard number >= 100, statusEnd == end || bytes[statusEnd] == UInt8(ascii: " ") else {
      throw .malformed(.statusLineInvalid)
    }
    status = number
    reason = min(statusEnd + 1, end)..<end
  }
}
