/// One reading: a position that only moves forward.
struct JSONScan {
  private let allowsComments: Bool
  private let depthMax: Int
  private let nodesMax: Int
  private var index = 0
  private var nodes = 0

  init(allowsComments: Bool, depthMax: Int, nodesMax: Int) {
    self.allowsComments = allowsComments
    self.depthMax = depthMax
    self.nodesMax = nodesMax
  }

  mutating func document(_ bytes: Span<UInt8>) throws(JSONFault) -> JSONNode {
    if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF {
      guard allowsComments else { throw JSONFault(kind: .byteOrderMark, range: 0..<3) }
      index = 3
    }
    try skipSpace(bytes)
    guard index < bytes.count else { throw JSONFault(kind: .empty, range: index..<index) }
    let node = try value(bytes, depth: 0)
    try skipSpace(bytes)
    guard index == bytes.count else { throw fault(.trailingBytes, bytes) }
    return node
  }

  private mutating func value(_ bytes: Span<UInt8>, depth: Int) throws(JSONFault) -> JSONNode {
    try count()
    let start = index
    guard start < bytes.count else { throw fault(.expectedValue, bytes) }
    let value: JSONValue
    switch bytes[start] {
    case UInt8(ascii: "{"): value = .object(try members(bytes, depth: depth + 1))
    case UInt8(ascii: "["): value = .array(try elements(bytes, depth: depth + 1))
    case UInt8(ascii: "\""): value = .string(try string(bytes))
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      value = .number(try number(bytes))
    case UInt8(ascii: "'"): throw fault(.singleQuote, bytes)
    case UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: ","), UInt8(ascii: ":"):
      throw fault(.expectedValue, bytes)
    default: value = try literal(bytes)
    }
    return JSONNode(value: value, range: start..<index)
  }

  /// A counted value or name.
  private mutating func count() throws(JSONFault) {
    nodes += 1
    guard nodes <= nodesMax else {
      throw JSONFault(kind: .tooManyValues(nodesMax: nodesMax), range: index..<index)
    }
  }

  // Both containers are read alike: what is open, then items with commas between.

  private mutating func elements(
    _ bytes: Span<UInt8>, depth: Int
  ) throws(JSONFault) -> [JSONNode] {
    let start = index
    try open(depth)
    var elements: [JSONNode] = []
    var comma: Int?
    while true {
      try skipSpace(bytes)
      guard index < bytes.count else {
        throw JSONFault(kind: .unclosedArray, range: start..<start + 1)
      }
      if bytes[index] == UInt8(ascii: "]") {
        try close(after: comma)
        return elements
      }
      if comma == nil, !elements.isEmpty { throw fault(.expectedCommaOrBracket, bytes) }
      elements.append(try value(bytes, depth: depth))
      comma = try takeComma(bytes)
    }
  }

  private mutating func members(
    _ bytes: Span<UInt8>, depth: Int
  ) throws(JSONFault) -> [JSONMember] {
    let start = index
    try open(depth)
    var members: [JSONMember] = []
    var names = NameSet()
    var comma: Int?
    while true {
      try skipSpace(bytes)
      guard index < bytes.count else {
        throw JSONFault(kind: .unclosedObject, range: start..<start + 1)
      }
      if bytes[index] == UInt8(ascii: "}") {
        try close(after: comma)
        return members
      }
      if comma == nil, !members.isEmpty { throw fault(.expectedCommaOrBrace, bytes) }
      let member = try member(bytes, depth: depth, opened: start)
      guard names.insert(member.name, among: members) else {
        throw JSONFault(kind: .duplicateMember, range: member.nameRange)
      }
      members.append(member)
      comma = try takeComma(bytes)
    }
  }

  private mutating func member(
    _ bytes: Span<UInt8>, depth: Int, opened: Int
  ) throws(JSONFault) -> JSONMember {
    try count()
    let start = index
    guard bytes[start] == UInt8(ascii: "\"") else {
      throw fault(
        bytes[start] == UInt8(ascii: "'") ? .singleQuote : .expectedMemberName, bytes)
    }
    let name = try string(bytes)
    let nameRange = start..<index
    try skipSpace(bytes)
    guard index < bytes.count else {
      throw JSONFault(kind: .unclosedObject, range: opened..<opened + 1)
    }
    guard bytes[index] == UInt8(ascii: ":") else { throw fault(.expectedColon, bytes) }
    index += 1
    try skipSpace(bytes)
    guard index < bytes.count else {
      throw JSONFault(kind: .unclosedObject, range: opened..<opened + 1)
    }
    return JSONMember(name: name, nameRange: nameRange, node: try value(bytes, depth: depth))
  }

  private mutating func open(_ depth: Int) throws(JSONFault) {
    guard depth <= depthMax else {
      throw JSONFault(kind: .tooDeep(depthMax: depthMax), range: index..<index + 1)
    }
    index += 1
  }

  private mutating func close(after comma: Int?) throws(JSONFault) {
    if let comma, !allowsComments {
      throw JSONFault(kind: .trailingComma, range: comma..<comma + 1)
    }
    index += 1
  }

  /// Where the comma stood, if one did.
  private mutating func takeComma(_ bytes: Span<UInt8>) throws(JSONFault) -> Int? {
    try skipSpace(bytes)
    guard index < bytes.count, bytes[index] == UInt8(ascii: ",") else { return nil }
    index += 1
    return index - 1
  }

  private mutating func literal(_ bytes: Span<UInt8>) throws(JSONFault) -> JSONValue {
    for (word, value) in Self.literals where matches(word, bytes) {
      // `nullx` and `true1` are no literals.
      let end = index + word.count
      if end < bytes.count, Self.isWord(bytes[end]) { break }
      index = end
      return value
    }
    throw fault(.invalidLiteral, bytes)
  }

  private static let literals: [([UInt8], JSONValue)] = [
    (Array("true".utf8), .bool(true)), (Array("false".utf8), .bool(false)),
    (Array("null".utf8), .null),
  ]

  private func matches(_ word: [UInt8], _ bytes: Span<UInt8>) -> Bool {
    guard bytes.count - index >= word.count else { return false }
    for offset in word.indices where bytes[index + offset] != word[offset] { return false }
    return true
  }

  private mutating func number(_ bytes: Span<UInt8>) throws(JSONFault) -> JSONNumber {
    let start = index
    if bytes[index] == UInt8(ascii: "-") { index += 1 }
    let first = index
    var isWellFormed = takeDigits(bytes)
    // RFC 8259 §6: no leading zeros.
    if bytes[first < bytes.count ? first : start] == UInt8(ascii: "0"), index - first > 1 {
      isWellFormed = false
    }
    if isWellFormed, index < bytes.count, bytes[index] == UInt8(ascii: ".") {
      index += 1
      isWellFormed = takeDigits(bytes)
    }
    if isWellFormed, index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") {
      index += 1
      if index < bytes.count,
        bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-")
      {
        index += 1
      }
      isWellFormed = takeDigits(bytes)
    }
    guard isWellFormed, index == bytes.count || !Self.isWord(bytes[index]) else {
      while index < bytes.count, Self.isWord(bytes[index]) { index += 1 }
      throw JSONFault(kind: .invalidNumber, range: start..<index)
    }
    return JSONNumber(text: UTF8Text(copy(bytes, start..<index)))
  }

  /// False where there is no digit to take.
  private mutating func takeDigits(_ bytes: Span<UInt8>) -> Bool {
    let start = index
    while index < bytes.count, bytes[index] >= UInt8(ascii: "0"),
      bytes[index] <= UInt8(ascii: "9")
    {
      index += 1
    }
    return index > start
  }

  private mutating func string(_ bytes: Span<UInt8>) throws(JSONFault) -> UTF8Text {
    let opening = index
    index += 1
    var text: [UInt8] = []
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: "\"") {
        index += 1
        return UTF8Text(text)
      } else if byte == UInt8(ascii: "\\") {
        try unescape(bytes, to: &text)
      } else if byte < 0x20 {
        // A line's end in a string is nearly always a quote that was forgotten.
        guard byte != 0x0A, byte != 0x0D else { break }
        throw JSONFault(kind: .controlCharacter, range: index..<index + 1)
      } else if byte < 0x80 {
        text.append(byte)
        index += 1
      } else {
        let length = UTF8Sequence.length(in: bytes, at: index)
        guard length > 0 else {
          throw JSONFault(kind: .invalidUTF8, range: index..<index + 1)
        }
        for offset in 0..<length { text.append(bytes[index + offset]) }
        index += length
      }
    }
    throw JSONFault(kind: .unclosedString, range: opening..<index)
  }

  private mutating func unescape(
    _ bytes: Span<UInt8>, to text: inout [UInt8]
  ) throws(JSONFault) {
    let start = index
    index += 1
    let escape = index < bytes.count ? bytes[index] : 0
    index += 1
    switch escape {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(escape)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      let unit = try codeUnit(bytes, escapedAt: start)
      guard unit & 0xF800 == 0xD800 else { return UTF8Sequence.append(unit, to: &text) }
      guard unit < 0xDC00, index + 1 < bytes.count, bytes[index] == UInt8(ascii: "\\"),
        bytes[index + 1] == UInt8(ascii: "u")
      else { throw JSONFault(kind: .loneSurrogate, range: start..<index) }
      let second = index
      index += 2
      let low = try codeUnit(bytes, escapedAt: second)
      guard low & 0xFC00 == 0xDC00 else {
        throw JSONFault(kind: .loneSurrogate, range: start..<second)
      }
      UTF8Sequence.append(0x1_0000 + (unit & 0x3FF) << 10 + low & 0x3FF, to: &text)
    default:
      throw JSONFault(kind: .invalidEscape, range: start..<min(index, bytes.count))
    }
  }

  /// The four hexadecimal digits after `\u`.
  private mutating func codeUnit(
    _ bytes: Span<UInt8>, escapedAt start: Int
  ) throws(JSONFault) -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      let byte = index < bytes.count ? bytes[index] : 0
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: throw JSONFault(kind: .invalidEscape, range: start..<index)
      }
      unit = unit << 4 | UInt32(digit)
      index += 1
    }
    return unit
  }

  private mutating func skipSpace(_ bytes: Span<UInt8>) throws(JSONFault) {
    while index < bytes.count {
      switch bytes[index] {
      case 0x20, 0x09, 0x0A, 0x0D: index += 1
      case UInt8(ascii: "/"): try skipComment(bytes)
      default: return
      }
    }
  }

  private mutating func skipComment(_ bytes: Span<UInt8>) throws(JSONFault) {
    let start = index
    let mark = start + 1 < bytes.count ? bytes[start + 1] : 0
    guard mark == UInt8(ascii: "/") || mark == UInt8(ascii: "*") else {
      throw fault(.expectedValue, bytes)
    }
    guard allowsComments else {
      throw JSONFault(kind: .commentRefused, range: start..<start + 2)
    }
    index += 2
    while index < bytes.count {
      let byte = bytes[index]
      if mark == UInt8(ascii: "/"), byte == 0x0A { return }
      if mark == UInt8(ascii: "*"), byte == UInt8(ascii: "*"), index + 1 < bytes.count,
        bytes[index + 1] == UInt8(ascii: "/")
      {
        index += 2
        return
      }
      let length = UTF8Sequence.length(in: bytes, at: index)
      guard length > 0 else {
        throw JSONFault(kind: .invalidUTF8, range: index..<index + 1)
      }
      index += length
    }
    if mark == UInt8(ascii: "*") {
      throw JSONFault(kind: .unclosedComment, range: start..<start + 2)
    }
  }

  /// A fault at what stands here: the whole word, where it is one.
  private func fault(_ kind: JSONFault.Kind, _ bytes: Span<UInt8>) -> JSONFault {
    var end = index
    while end < bytes.count, Self.isWord(bytes[end]) { end += 1 }
    if end == index, end < bytes.count { end += max(1, UTF8Sequence.length(in: bytes, at: end)) }
    return JSONFault(kind: kind, range: index..<end)
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), UInt8(ascii: "-"),
      UInt8(ascii: "+"), UInt8(ascii: "."):
      true
    default: false
    }
  }

  private func copy(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
    var copy: [UInt8] = []
    copy.reserveCapacity(range.count)
    for index in range { copy.append(bytes[index]) }
    return copy
  }
}

/// The names that an object holds so far. A few are compared one by one, which needs no
/// allocation; many go into a set, whose hashing is seeded, so that no text makes it slow.
private struct NameSet {
  private static let comparedMax = 8
  private var names: Set<UTF8Text> = []

  /// False where the name was there before.
  mutating func insert(_ name: UTF8Text, among members: [JSONMember]) -> Bool {
    if members.count < Self.comparedMax {
      return !members.contains { $0.name == name }
    }
    if names.isEmpty { names = Set(members.map(\.name)) }
    return names.insert(name).inserted
  }
}
