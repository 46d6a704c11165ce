/// A head's field lines, and what its framing and connection fields say together.
///
/// Requests, responses and trailers share it. It is filled line by line; each line is recognised,
/// and one that speaks about framing or the connection is read at once. Whether they agree with
/// each other is asked when the section has ended. Its arrays keep their room for the next head.
package struct FieldSection: Sendable {
  /// In the order received, duplicates included.
  package private(set) var lines: [FieldLine] = []
  /// The names that occur with their exact spelling (`x_tenant` is not `x-tenant` here).
  package private(set) var names = FieldNameSet()
  /// Those of them that occur more than once.
  package private(set) var repeatedNames = FieldNameSet()

  /// What the options of all `Connection` fields ask for (RFC 9110 §7.6.1).
  private(set) var asksClose = false
  private(set) var asksKeepAlive = false
  private(set) var asksUpgrade = false
  private var transferCoding = TransferCoding.absent
  private var contentLength: UInt64 = 0
  /// The one Host line's index; -1 without one.
  private(set) var hostIndex = -1
  /// Names that `Connection` lists: the known ones, and those without a case of their own.
  private var nominated = FieldNameSet()
  private var nominatedOther: [NominatedName] = []

  /// More different unknown names in `Connection` than this and the head is refused: each one is
  /// compared with each line, and nobody has that many.
  private static let nominatedOtherMax = 32

  private enum TransferCoding { case absent, chunked, unknown }

  private struct NominatedName {
    var start: Int
    var end: Int
    var foldedHash: UInt32

    func matches(_ line: FieldLine, in bytes: Span<UInt8>) -> Bool {
      guard line.foldedHash == foldedHash, line.name.count == end - start else { return false }
      let other = Int(line.nameStart)
      for offset in 0..<(end - start) {
        let ours = ByteClass.lowercased(bytes[start + offset])
        guard ours == ByteClass.lowercased(bytes[other + offset]) else { return false }
      }
      return true
    }
  }

  package init() {}

  /// Empties it for another head, keeping the room.
  mutating func removeAll() {
    lines.removeAll(keepingCapacity: true)
    names = FieldNameSet()
    repeatedNames = FieldNameSet()
    asksClose = false
    asksKeepAlive = false
    asksUpgrade = false
    transferCoding = .absent
    contentLength = 0
    hostIndex = -1
    nominated = FieldNameSet()
    nominatedOther.removeAll(keepingCapacity: true)
  }

  /// Reads the line `start..<end`, which is not empty, lacks its CRLF and was scanned for controls.
  mutating func append(
    _ bytes: Span<UInt8>, from start: Int, to end: Int
  ) throws(Malformation) {
    let line = try Self.parseLine(bytes, from: start, to: end)
    if !line.hasUnderscore {
      switch line.known {
      case .contentLength:
        guard !names.contains(.contentLength) else { throw .contentLengthRepeated }
        try readContentLength(bytes.extracting(line.value))
      case .transferEncoding:
        try readTransferEncoding(bytes.extracting(line.value))
      case .connection:
        try readConnection(bytes, line.value)
      case .host:
        // RFC 9112 §3.2: more than one Host is 400, the same twice included.
        guard hostIndex < 0 else { throw .hostRepeated }
        hostIndex = lines.count
      default:
        break
      }
      if names.contains(line.known) { repeatedNames.insert(line.known) }
      names.insert(line.known)
    } else if line.known == .contentLength || line.known == .transferEncoding {
      throw .framingDisguised
    }
    lines.append(line)
  }

  /// RFC 9112 §5: name, colon, value; nothing between name and colon, nothing folded.
  private static func parseLine(
    _ bytes: Span<UInt8>, from start: Int, to end: Int
  ) throws(Malformation) -> FieldLine {
    let name = ScannedName(in: bytes, from: start, to: end)
    let colon = name.end
    if colon == start || colon == end || bytes[colon] != UInt8(ascii: ":") {
      throw nameFault(bytes, from: start, to: end, stoppedAt: colon)
    }
    var valueStart = colon + 1
    var valueEnd = end
    while valueStart < valueEnd, ByteClass.isBlank(bytes[valueStart]) { valueStart &+= 1 }
    while valueStart < valueEnd, ByteClass.isBlank(bytes[valueEnd &- 1]) { valueEnd &-= 1 }
    let known = FieldNameTable.shared.name(of: name)
    return FieldLine(
      nameStart: UInt32(truncatingIfNeeded: start), nameEnd: UInt32(truncatingIfNeeded: colon),
      valueStart: UInt32(truncatingIfNeeded: valueStart),
      valueEnd: UInt32(truncatingIfNeeded: valueEnd), foldedHash: name.foldedHash, known: known,
      hasUnderscore: name.hasUnderscore, isHopByHop: known.isHopByHop)
  }

  private static func nameFault(
    _ bytes: Span<UInt8>, from start: Int, to end: Int, stoppedAt stop: Int
  ) -> Malformation {
    if ByteClass.isBlank(bytes[start]) { return .foldedLine }
    guard stop < end else { return .colonMissing }
    guard stop > start, ByteClass.isBlank(bytes[stop]) else { return .fieldNameInvalid }
    var index = stop
    while index < end, ByteClass.isBlank(bytes[index]) { index += 1 }
    let isColon = index < end && bytes[index] == UInt8(ascii: ":")
    return isColon ? .spaceBeforeColon : .fieldNameInvalid
  }

  /// RFC 9110 §8.6 allows a list of equal numbers; who reads only the first or only the last of a
  /// list is why none is accepted here.
  private mutating func readContentLength(_ value: Span<UInt8>) throws(Malformation) {
    guard !value.isEmpty else { throw .contentLengthInvalid }
    var length: UInt64 = 0
    for index in 0..<value.count {
      guard ByteClass.isDigit(value[index]) else { throw .contentLengthInvalid }
      // Below 2^63 always, so that whoever counts in `Int` cannot overflow.
      guard length < 900_000_000_000_000_000 else { throw .contentLengthInvalid }
      length = length * 10 + UInt64(value[index] &- UInt8(ascii: "0"))
    }
    contentLength = length
  }

  /// RFC 9112 §6.1 and §7: `chunked` and nothing else can be read here; any other coding in front
  /// of it is unknown (501), and everything that leaves the end of the body in doubt is refused.
  private mutating func readTransferEncoding(_ value: Span<UInt8>) throws(Malformation) {
    guard transferCoding == .absent else { throw .transferEncodingInvalid }
    var index = 0
    var isChunkedLast = false
    var elements = 0
    while true {
      while index < value.count, ByteClass.isBlank(value[index]) { index += 1 }
      let name = ScannedName(in: value, from: index, to: value.count)
      // Nothing may follow chunked, and no element may be empty.
      guard name.end > index, !isChunkedLast else { throw .transferEncodingInvalid }
      isChunkedLast = name.isChunked
      elements += 1
      index = name.end
      while index < value.count, ByteClass.isBlank(value[index]) { index += 1 }
      if index < value.count, value[index] == UInt8(ascii: ";") {
        // Chunked has no parameters (§7.1); those of an unknown coding don't matter.
        guard !isChunkedLast else { throw .transferEncodingInvalid }
        while index < value.count, value[index] != UInt8(ascii: ",") { index += 1 }
      }
      guard index < value.count else { break }
      guard value[index] == UInt8(ascii: ",") else { throw .transferEncodingInvalid }
      index += 1
    }
    transferCoding = isChunkedLast && elements == 1 ? .chunked : .unknown
  }

  /// RFC 9110 §7.6.1: a list of tokens, empty elements ignored (§5.6.1.2).
  private mutating func readConnection(
    _ bytes: Span<UInt8>, _ value: Range<Int>
  ) throws(Malformation) {
    var index = value.lowerBound
    let end = value.upperBound
    while index < end {
      let start = index
      let option = ScannedName(in: bytes, from: start, to: end)
      index = option.end
      if index > start { try nominate(option, from: start) }
      while index < end, ByteClass.isBlank(bytes[index]) { index += 1 }
      if index == end { return }
      guard bytes[index] == UInt8(ascii: ",") else { throw .connectionOptionInvalid }
      index += 1
      while index < end, ByteClass.isBlank(bytes[index]) { index += 1 }
    }
  }

  private mutating func nominate(
    _ option: ScannedName, from start: Int
  ) throws(Malformation) {
    let known = option.hasUnderscore ? .other : FieldNameTable.shared.name(of: option)
    switch known {
    case .close: asksClose = true
    case .keepAlive: asksKeepAlive = true
    case .upgrade: asksUpgrade = true
    case .other, .xForwardedOther, .accessControlOther:
      guard nominatedOther.count < Self.nominatedOtherMax else { throw .connectionOptionInvalid }
      nominatedOther.append(
        NominatedName(start: start, end: option.end, foldedHash: option.foldedHash))
    default: nominated.insert(known)
    }
  }

  /// Marks the lines that `Connection` names. Asked once, when the section is whole, because the
  /// field may stand behind those that it names.
  mutating func markNominated(_ bytes: Span<UInt8>) {
    guard !nominated.isEmpty || !nominatedOther.isEmpty else { return }
    for index in lines.indices where !lines[index].isHopByHop {
      let line = lines[index]
      if nominated.contains(line.known) && !line.hasUnderscore {
        lines[index].isHopByHop = true
      } else if nominatedOther.contains(where: { $0.matches(line, in: bytes) }) {
        lines[index].isHopByHop = true
      }
    }
  }

  /// How the body ends as far as the fields say (RFC 9112 §6.3, rules 3 to 5).
  func framing(minorVersion: UInt8) throws(Malformation) -> FieldFraming {
    let hasLength = names.contains(.contentLength)
    guard transferCoding != .absent else { return hasLength ? .length(contentLength) : .absent }
    // §6.3 lets a proxy prefer Transfer-Encoding; it is an attack far more often than a mistake.
    guard !hasLength else { throw .framingAmbiguous }
    // §6.1: faulty framing, whatever else it says.
    guard minorVersion > 0 else { throw .transferEncodingInHTTP10 }
    return transferCoding == .chunked ? .chunked : .unknownCoding
  }
}

/// What a section's framing fields say, before it is known what kind of message they are on.
enum FieldFraming: Equatable {
  case absent
  case length(UInt64)
  case chunked
  case unknownCoding
}

extension [FieldLine] {
  /// The first line of that exact name.
  func first(_ name: FieldName) -> FieldLine? {
    for line in self where line.known == name && !line.hasUnderscore { return line }
    return nil
  }
}
